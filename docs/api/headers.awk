# The way of a public header to Doxygen (INPUT_FILTER of the Doxyfile). The headers are written to be read as they are;
# this adds what Doxygen wants, and leaves every line where it is. To see it: awk -f docs/api/headers.awk FILE

# Lines of a comment that are set in by three blanks or more are shown as they stand.
function displayed(head, body) {
  if (body ~ /^   / && !display) { match(body, /^ +/); display = RLENGTH; head = head " @code{.unparsed}" }
  else if (body !~ /^   / && body !~ /^ *$/ && display) { display = 0; head = head " @endcode" }
  return head " " substr(body, (display ? display : 1) + 1)
}

# The comment that a header opens with is about the file.
!opened && /^#pragma once/ { opened = 1; $0 = display ? "/// @endcode @file" : "/// @file"; display = 0; print; next }
!opened && /^\/\// && !/^\/\/\// { $0 = "/" $0 }

/^ *\/\/\// { match($0, /^ *\/\/\//); print displayed(substr($0, 1, RLENGTH), substr($0, RLENGTH + 1)); next }

# ropejit.h is in plain C comments: those before a declaration, over several lines, and those behind one.
/^ *\/\* [^-]/ { sub(/\/\*/, "/**"); within = 1 }
within && /^ *\*\/ *$/ { print; within = display = 0; next }
within {
  match($0, /^ *\/?\*\*?/)
  line = displayed(substr($0, 1, RLENGTH), substr($0, RLENGTH + 1))
  if (line ~ /\*\/ *$/) {
    if (display) sub(/\*\/ *$/, "@endcode */", line)
    within = display = 0
  }
  print line
  next
}
/^ *[A-Za-z].*[^ \/] +\/\* / { sub(/\/\* /, "/**< ") }

# One comment for all of those that give names, one for the copies and moves of handles.
/^ROPEJIT_EXPORT const char\* to_string\(/ { $0 = "/** The name of the value, as JSON and messages have it. */ " $0 }
/^  Rope[A-Za-z]*(& operator=)?\((const )?Rope[^)]*\).*;$/ { $0 = $0 "  ///< handles share what is behind them" }
{ print }
