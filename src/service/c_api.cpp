// The C ABI over the C++ API: JSON in, codes out, nothing thrown.
#include <cstdio>
#include <new>
#include <string>

#include "hf/model_json.hpp"
#include "ropejit/error.hpp"
#include "ropejit/model.hpp"
#include "ropejit/ropejit.h"
#include "ropejit/service.hpp"
#include "ropejit/version.hpp"
#include "service/c_args.hpp"
#include "spec/names.hpp"
#include "support/json.hpp"

struct ropejit_service {
  ropejit::RopeService service;
};

struct ropejit_kernel {
  ropejit::RopeKernel kernel;
};

namespace {

using ropejit::Error;
using ropejit::ErrorCode;

static_assert(ROPEJIT_INTERNAL == static_cast<int>(ErrorCode::internal));

// A buffer, so that launch can say what failed without an allocation. Long lists of allowed values are cut.
thread_local char last_error[2048] = "";
thread_local std::string last_log;

ropejit_status fail(ErrorCode code, const char* message) noexcept {
  std::snprintf(last_error, sizeof last_error, "%s", message);
  last_log.clear();
  return static_cast<ropejit_status>(code);
}

ropejit_status fail(const ropejit::LaunchStatus& status) noexcept {
  const char* reason = status.reason != nullptr ? status.reason : to_string(status.code);
  if (status.driver_code != 0) {
    std::snprintf(last_error, sizeof last_error, "launch: %s (driver error %d)", reason, status.driver_code);
  } else {
    std::snprintf(last_error, sizeof last_error, "launch: %s", reason);
  }
  last_log.clear();
  return static_cast<ropejit_status>(status.code);
}

// Runs `work`; whatever it throws becomes a code.
template <typename Work>
ropejit_status guarded(const Work& work) noexcept {
  try {
    work();
    return ROPEJIT_OK;
  } catch (const Error& error) {
    const ropejit_status status = fail(error.code(), error.what());
    try {
      last_log = error.log();
    } catch (...) {
      // The message is there; the log is lost with the memory that it would have taken.
    }
    return status;
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::internal, "out of memory");
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, error.what());
  } catch (...) {
    return fail(ErrorCode::internal, "an exception of an unknown type");
  }
}

ropejit::ServiceOptions read_options(const char* json) {
  ropejit::ServiceOptions options;
  if (json == nullptr) return options;
  const llvm::json::Object object = ropejit::internal::parse_json_object(json);
  const ropejit::internal::ObjectReader reader(object);
  reader.reject_unknown_keys(
      {"device", "cache_dir", "nvrtc", "host_compiler", "tuning", "on_miss", "frozen", "most_kernels"});
  options.device = reader.find_string("device", "\"auto\", \"cuda\", \"cuda:N\" or \"host\"");
  options.cache_dir = reader.find_string("cache_dir", "a path, or \"\" for memory only");
  options.nvrtc = reader.find_string("nvrtc", "a path");
  options.host_compiler = reader.find_string("host_compiler", "a path, or a name on PATH");
  options.tuning = ropejit::internal::find_enum<ropejit::Tuning>(reader, "tuning");
  options.on_miss = ropejit::internal::find_enum<ropejit::OnMiss>(reader, "on_miss");
  options.frozen = reader.find_bool("frozen");
  options.most_kernels =
      reader.find_int("most_kernels", ropejit::internal::IntRange{.min = 0}).value_or(options.most_kernels);
  return options;
}

ropejit::LaunchForm read_form(const char* json) {
  return json == nullptr ? ropejit::LaunchForm{} : ropejit::LaunchForm::from_json(json);
}

// As much as the caller has room for, and how long all of it is.
void copy_text(const std::string& whole, char* text, size_t size, size_t* length) {
  if (size > 0) text[whole.copy(text, size - 1)] = '\0';
  if (length != nullptr) *length = whole.size();
}

}  // namespace

extern "C" {

const char* ropejit_version(void) { return ROPEJIT_VERSION; }

const char* ropejit_last_error(void) { return last_error; }

const char* ropejit_last_log(void) { return last_log.c_str(); }

ropejit_status ropejit_service_create(const char* options_json, ropejit_service** service) {
  if (service == nullptr) return fail(ErrorCode::invalid_argument, "service: found NULL, allowed: where to put it");
  *service = nullptr;
  return guarded([&] { *service = new ropejit_service{ropejit::RopeService(read_options(options_json))}; });
}

void ropejit_service_release(ropejit_service* service) { delete service; }

ropejit_status ropejit_wait_for_compiles(ropejit_service* service, double seconds, int* finished) {
  if (finished == nullptr) return fail(ErrorCode::invalid_argument, "finished: found NULL, allowed: where to put it");
  *finished = 0;
  if (service == nullptr) return fail(ErrorCode::invalid_argument, "service: found NULL, allowed: a service");
  // Also refuses what is no number.
  if (!(seconds >= 0)) return fail(ErrorCode::invalid_argument, "seconds: found a number below 0, allowed: 0 or more");
  return guarded([&] { *finished = service->service.wait_for_compiles(seconds) ? 1 : 0; });
}

ropejit_status ropejit_metrics(ropejit_service* service, const char* labels, char* text, size_t size, size_t* length) {
  if (length != nullptr) *length = 0;
  if (text != nullptr && size > 0) text[0] = '\0';
  if (service == nullptr) return fail(ErrorCode::invalid_argument, "service: found NULL, allowed: a service");
  if (text == nullptr && size > 0) return fail(ErrorCode::invalid_argument, "text: found NULL, allowed: a buffer");
  return guarded([&] {
    copy_text(ropejit::prometheus_text(service->service.stats(), labels == nullptr ? "" : labels), text, size, length);
  });
}

ropejit_status ropejit_model_ropes(const char* config_json, const char* options_json, char* text, size_t size,
                                   size_t* length) {
  if (length != nullptr) *length = 0;
  if (text != nullptr && size > 0) text[0] = '\0';
  if (config_json == nullptr) {
    return fail(ErrorCode::invalid_argument, "config_json: found NULL, allowed: the text of a config.json");
  }
  if (text == nullptr && size > 0) return fail(ErrorCode::invalid_argument, "text: found NULL, allowed: a buffer");
  return guarded([&] {
    const ropejit::ModelOptions options =
        options_json == nullptr ? ropejit::ModelOptions{} : ropejit::internal::read_model_options(options_json);
    const auto model = ropejit::ModelRopes::from_hf_config(config_json, options);
    copy_text(ropejit::internal::model_ropes_to_json(model), text, size, length);
  });
}

ropejit_status ropejit_get(ropejit_service* service, const char* spec_json, const char* form_json,
                           ropejit_kernel** kernel) {
  if (kernel == nullptr) return fail(ErrorCode::invalid_argument, "kernel: found NULL, allowed: where to put it");
  *kernel = nullptr;
  if (service == nullptr) return fail(ErrorCode::invalid_argument, "service: found NULL, allowed: a service");
  if (spec_json == nullptr) return fail(ErrorCode::invalid_argument, "spec_json: found NULL, allowed: a spec as JSON");
  return guarded([&] {
    const ropejit::RopeSpec spec = ropejit::RopeSpec::from_json(spec_json);
    *kernel = new ropejit_kernel{service->service.get(spec, read_form(form_json))};
  });
}

ropejit_status ropejit_forget(ropejit_service* service, const char* spec_json, const char* form_json,
                              int64_t* forgotten) {
  if (forgotten != nullptr) *forgotten = 0;
  if (service == nullptr) return fail(ErrorCode::invalid_argument, "service: found NULL, allowed: a service");
  if (spec_json == nullptr && form_json != nullptr) {
    return fail(ErrorCode::invalid_argument, "spec_json: found NULL beside a form, allowed: a spec as JSON");
  }
  return guarded([&] {
    std::size_t count = 0;
    if (spec_json == nullptr) {
      count = service->service.forget_unused();
    } else {
      count = service->service.forget(ropejit::RopeSpec::from_json(spec_json), read_form(form_json)) ? 1 : 0;
    }
    if (forgotten != nullptr) *forgotten = static_cast<int64_t>(count);
  });
}

ropejit_status ropejit_kernel_at_length(const ropejit_kernel* kernel, int64_t length, ropejit_kernel** at_length) {
  if (at_length == nullptr) return fail(ErrorCode::invalid_argument, "at_length: found NULL, allowed: where to put it");
  *at_length = nullptr;
  if (kernel == nullptr) return fail(ErrorCode::invalid_argument, "kernel: found NULL, allowed: a kernel");
  return guarded([&] { *at_length = new ropejit_kernel{kernel->kernel.at_length(length)}; });
}

void ropejit_kernel_release(ropejit_kernel* kernel) { delete kernel; }

ropejit_status ropejit_launch(const ropejit_kernel* kernel, const ropejit_args* args, void* stream) {
  if (kernel == nullptr) return fail(ErrorCode::invalid_argument, "kernel: found NULL, allowed: a kernel");
  if (args == nullptr) return fail(ErrorCode::invalid_argument, "args: found NULL, allowed: arguments");
  ropejit::RopeArgs launch;
  if (const char* problem = ropejit::internal::read_args(*args, launch)) {
    return fail(ErrorCode::invalid_argument, problem);
  }
  const ropejit::LaunchStatus status = kernel->kernel.launch(launch, stream);
  return status ? ROPEJIT_OK : fail(status);
}

}  // extern "C"
