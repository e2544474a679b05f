/*
 * headraced: arguments, configuration, wiring. The only file that sees everything; what each part
 * does stands in its own folder.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "buf.h"
#include "config.h"
#include "db.h"
#include "host.h"
#include "ingest.h"
#include "log.h"
#include "masterkey.h"
#include "migrate.h"
#include "notify.h"
#include "registry.h"
#include "services.h"

enum { EXIT_CONFIG = 78, EXIT_USAGE = 2 };
