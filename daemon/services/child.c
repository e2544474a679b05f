#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_NOT_STARTED = 127, POLL_MS = 10 };

static int64_t now_ms(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* Between fork and exec: async-signal-safe calls only. */
static void become(const struct child *c, pid_t parent)
{
        sigset_t none;
        int fd;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        for (int s = 1; s < 32; s++)
                signal(s, SIG_DFL);
        /* A terminal's Ctrl-C is for the daemon, which ends its children in order. */
        setpgid(0, 0);
        if (chdir(c->dir))
                _exit(EXIT_NOT_STARTED);
        fd = open(c->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd >= 0) {
                dup2(fd, STDOUT_FILENO);
                dup2(fd, STDERR_FILENO);
        }
        fd = open("/dev/null", O_RDONLY);
        if (fd >= 0)
                dup2(fd, STDIN_FILENO);
        if (geteuid() == 0 && (setgroups(1, &c->gid) || setgid(c->gid) || setuid(c->uid)))
                _exit(EXIT_NOT_STARTED);
        /* After setuid, which clears it: a daemon killed hard takes its children along. */
        prctl(PR_SET_PDEATHSIG, c->end_signal);
        if (getppid() != parent)
                _exit(EXIT_NOT_STARTED);
        execv(c->argv[0], c->argv);
        _exit(EXIT_NOT_STARTED);
}

int child_start(struct child *c)
{
        pid_t parent = getpid();
        pid_t pid = fork();

        if (pid < 0)
                return -errno;
        if (pid == 0)
                become(c, parent);
        c->pid = pid;
        c->started_ms = now_ms();
        return 0;
}

bool child_ended(struct child *c, int *ret_status)
{
        int status;
        pid_t r;

        if (c->pid == 0)
                return true;
        r = waitpid(c->pid, &status, WNOHANG);
        if (r == 0 || (r < 0 && errno == EINTR))
                return false;
        c->pid = 0;
        if (ret_status)
                *ret_status = r < 0 ? 0 : status;
        return true;
}

static bool wait_end(struct child *c, int timeout_ms)
{
        int64_t end = now_ms() + timeout_ms;

        while (!child_ended(c, NULL)) {
                if (now_ms() >= end)
                        return false;
                nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
        }
        return true;
}

void child_stop(struct child *c, int timeout_ms)
{
        if (c->pid == 0)
                return;
        kill(c->pid, c->end_signal);
        if (wait_end(c, timeout_ms))
                return;
        kill(c->pid, SIGKILL);
        wait_end(c, 5000);
}

int child_run(struct child *c)
{
        int status = 0;
        int r = child_start(c);

        if (r)
                return r;
        while (!child_ended(c, &status))
                nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -ECANCELED;
}
