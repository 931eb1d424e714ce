/* The command line: words of the form key=value. */
#ifndef CMDLINE_H
#define CMDLINE_H

#include "host.h"

/* Read `ip`, `gw` and `name` into the host's record; where a word comes twice the last one counts. Words that are not known,
 * the kernel's file name among them, are passed over. On failure give what is wrong, else a null pointer. */
const char *cmdline_read(const char *line, struct host *into);

#endif
