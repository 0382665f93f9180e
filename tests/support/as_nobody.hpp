// Does something as a user without rights, in a process of its own: root passes every test of permissions.
#pragma once

#include <grp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <stdexcept>
#include <string>

namespace ropejit::test {

inline constexpr unsigned kNobody = 65534;

/// Tests that need another user run as root alone.
inline bool can_become_nobody() { return ::geteuid() == 0; }

/// What `work` returned as that user, who is in `group` too. The text "exception: ..." where it threw.
inline std::string as_nobody(const std::function<std::string()>& work, unsigned group = kNobody) {
  int ends[2];
  if (::pipe(ends) != 0) throw std::runtime_error("pipe failed");
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) {
    std::string text = "cannot become another user";
    const gid_t groups[] = {group};
    if (::setgroups(1, groups) == 0 && ::setgid(kNobody) == 0 && ::setuid(kNobody) == 0) {
      try {
        text = work();
      } catch (const std::exception& problem) {
        text = std::string("exception: ") + problem.what();
      }
    }
    static_cast<void>(!::write(ends[1], text.data(), text.size()));
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string text;
  char block[4096];
  for (ssize_t got = 0; (got = ::read(ends[0], block, sizeof block)) > 0;)
    text.append(block, static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  if (::waitpid(child, &status, 0) != child || status != 0) throw std::runtime_error("the child did not end well");
  return text;
}

}  // namespace ropejit::test
