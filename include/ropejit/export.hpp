// What a shared build exports. Everything else is compiled with hidden visibility.
#pragma once

#if defined(__GNUC__)
#define ROPEJIT_EXPORT __attribute__((visibility("default")))
#else
#define ROPEJIT_EXPORT
#endif
