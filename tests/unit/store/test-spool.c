#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hr_test.h"
#include "spool.h"

/* Faults, injected by the linker's --wrap. */
static int sync_error, write_room = -1;
static int syncs;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
        syncs++;
        if (sync_error) {
                errno = sync_error;
                sync_error = 0; /* the kernel reports it once: a retry would "succeed" */
                return -1;
        }
        return __real_fdatasync(fd);
}

ssize_t __real_pwrite64(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t at)
{
        if (write_room >= 0) {
                if (!write_room) {
                        errno = ENOSPC;
                        return -1;
                }
                if (n > (size_t)write_room)
                        n = (size_t)write_room;
                write_room -= (int)n;
        }
        return __real_pwrite64(fd, p, n, at);
}

static char dir[64];
static int reports;

static void on_report(void *arg, const char *what, uint64_t segment, uint64_t offset, uint64_t n)
{
        (void)arg;
        (void)what;
        (void)segment;
        (void)offset;
        (void)n;
        reports++;
}

static void dir_make(void)
{
        snprintf(dir, sizeof dir, "/tmp/hrspool.XXXXXX");
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
        reports = 0;
}

static void dir_remove(void)
{
        DIR *d = opendir(dir);
        struct dirent *e;
        char path[400];

        while (d && (e = readdir(d))) {
                snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
                if (e->d_name[0] != '.')
                        unlink(path);
        }
        if (d)
                closedir(d);
        rmdir(dir);
}

static struct spool *open_with(uint64_t segment_bytes, uint64_t max_bytes)
{
        struct spool_options o = { segment_bytes, max_bytes, on_report, NULL };
        struct spool *s = NULL;

        CU_ASSERT_EQUAL_FATAL(spool_open(&s, dir, &o), 0);
        return s;
}

/* Body of record @i: its number, then bytes that depend on it. */
static size_t body_of(uint32_t i, uint8_t out[64])
{
        size_t n = 4 + i % 29;

        memcpy(out, &i, 4);
        memset(out + 4, (int)(i * 7), n - 4);
        return n;
}

static int append(struct spool *s, uint32_t from, uint32_t n)
{
        struct buf b = BUF_INIT;
        uint8_t body[64];
        int r;

        for (uint32_t i = from; i < from + n; i++)
                CU_ASSERT_TRUE(spool_frame(&b, body, body_of(i, body)));
        r = spool_append(s, b.p, b.len);
        buf_deinit(&b);
        return r;
}

/* Reads everything from the oldest on; ids of whole records in order. */
static size_t read_ids(struct spool *s, uint32_t *ids, size_t cap)
{
        struct spool_cursor c;
        const uint8_t *p;
        uint8_t want[64];
        size_t n, count = 0;
        int r;

        spool_cursor_init(&c, s, (struct spool_position){ 0 });
        while ((r = spool_cursor_next(&c, &p, &n)) > 0 && count < cap) {
                CU_ASSERT_FATAL(n >= 4);
                memcpy(&ids[count], p, 4);
                CU_ASSERT_EQUAL(n, body_of(ids[count], want));
                CU_ASSERT_EQUAL(memcmp(p, want, n), 0);
                count++;
        }
        CU_ASSERT_EQUAL(r, 0);
        spool_cursor_deinit(&c);
        return count;
}

static void expect_ids(struct spool *s, uint32_t from, uint32_t to)
{
        uint32_t ids[2048];
        size_t n = read_ids(s, ids, 2048);

        CU_ASSERT_EQUAL(n, to - from);
        for (size_t i = 0; i < n; i++)
                CU_ASSERT_EQUAL(ids[i], from + i);
}

static void test_order_and_segments(void)
{
        struct spool *s, *other = NULL;
        struct spool_position p;
        char id[SPOOL_ID_SIZE];

        dir_make();
        s = open_with(500, 1 << 20);
        snprintf(id, sizeof id, "%s", spool_id(s));
        CU_ASSERT_EQUAL(strlen(id), 16);
        CU_ASSERT_EQUAL(spool_open(&other, dir, NULL), -EBUSY);
        for (uint32_t i = 0; i < 60; i += 3)
                CU_ASSERT_EQUAL(append(s, i, 3), 0);
        CU_ASSERT_TRUE(spool_end(s).segment > 3);
        expect_ids(s, 0, 60);
        p = spool_end(s);
        spool_close(s);

        s = open_with(500, 1 << 20);
        CU_ASSERT_STRING_EQUAL(spool_id(s), id);
        CU_ASSERT_EQUAL(append(s, 60, 5), 0);
        CU_ASSERT_TRUE(spool_end(s).segment ==
                       p.segment + 1); /* never appended to after a restart */
        expect_ids(s, 0, 65);
        CU_ASSERT_EQUAL(spool_release(s, spool_end(s)), 0);
        expect_ids(s, 60, 65);
        CU_ASSERT_EQUAL(spool_begin(s).segment, spool_end(s).segment);
        CU_ASSERT_EQUAL(reports, 0);
        spool_close(s);
        dir_remove();
}

static void test_cursor_follows_the_writer(void)
{
        struct spool *s;
        struct spool_cursor c;
        const uint8_t *p;
        size_t n;

        dir_make();
        s = open_with(300, 1 << 20);
        spool_cursor_init(&c, s, (struct spool_position){ 0 });
        CU_ASSERT_EQUAL(spool_cursor_next(&c, &p, &n), 0);
        for (uint32_t i = 0; i < 100; i++) {
                CU_ASSERT_EQUAL(append(s, i, 1), 0);
                CU_ASSERT_EQUAL_FATAL(spool_cursor_next(&c, &p, &n), 1);
                CU_ASSERT_EQUAL(memcmp(p, &i, 4), 0);
                CU_ASSERT_EQUAL(spool_cursor_next(&c, &p, &n), 0);
                spool_release(s, c.at);
        }
        CU_ASSERT_TRUE(spool_bytes(s) < 400);
        spool_cursor_deinit(&c);
        spool_close(s);
        dir_remove();
}

static void file_of(char *path, size_t size, uint64_t segment)
{
        snprintf(path, size, "%s/%016llx.seg", dir, (unsigned long long)segment);
}

static void test_torn_at_every_byte(void)
{
        struct spool *s;
        char path[128];
        struct buf whole = BUF_INIT;
        size_t ends[8];
        FILE *f;

        dir_make();
        s = open_with(0, 0);
        for (uint32_t i = 0; i < 8; i++) {
                append(s, i, 1);
                ends[i] = (size_t)spool_end(s).offset;
        }
        spool_close(s);
        file_of(path, sizeof path, 1);
        f = fopen(path, "rb");
        whole.len = fread(buf_extend(&whole, ends[7]), 1, ends[7], f);
        fclose(f);
        CU_ASSERT_EQUAL_FATAL(whole.len, ends[7]);
        for (size_t cut = 0; cut <= whole.len; cut++) {
                uint32_t left = 0, ids[16];

                dir_remove();
                mkdir(dir, 0700);
                f = fopen(path, "wb");
                fwrite(whole.p, 1, cut, f);
                fclose(f);
                while (left < 8 && ends[left] <= cut)
                        left++;
                reports = 0;
                s = open_with(0, 0);
                CU_ASSERT_EQUAL(
                        reports,
                        cut == whole.len || cut == (left ? ends[left - 1] : 16) || !cut ? 0 : 1);
                CU_ASSERT_EQUAL(append(s, 100, 2), 0);
                CU_ASSERT_EQUAL(read_ids(s, ids, 16), left + 2);
                CU_ASSERT_TRUE(ids[left] == 100 && ids[left + 1] == 101);
                CU_ASSERT_TRUE(!left || ids[left - 1] == left - 1);
                spool_close(s);
        }
        buf_deinit(&whole);
        dir_remove();
}

static void test_flipped_byte_costs_one_record(void)
{
        struct spool *s;
        char path[128];
        size_t begin, end;
        int fd;

        dir_make();
        s = open_with(0, 0);
        append(s, 0, 3);
        begin = (size_t)spool_end(s).offset;
        append(s, 3, 1);
        end = (size_t)spool_end(s).offset;
        append(s, 4, 3);
        spool_close(s);
        file_of(path, sizeof path, 1);
        fd = open(path, O_RDWR);
        for (size_t at = begin; at < end; at++) {
                uint32_t ids[16];
                uint8_t b;

                CU_ASSERT_EQUAL(pread(fd, &b, 1, (off_t)at), 1);
                b ^= 0x10;
                CU_ASSERT_EQUAL(pwrite(fd, &b, 1, (off_t)at), 1);
                reports = 0;
                s = open_with(0, 0);
                CU_ASSERT_EQUAL(read_ids(s, ids, 16), 6);
                CU_ASSERT_TRUE(ids[2] == 2 && ids[3] == 4 && ids[5] == 6);
                CU_ASSERT_EQUAL(reports, 1);
                spool_close(s);
                b ^= 0x10;
                CU_ASSERT_EQUAL(pwrite(fd, &b, 1, (off_t)at), 1);
        }
        close(fd);
        snprintf(path, sizeof path, "%s/%016x-%zu.bad", dir, 1, begin);
        CU_ASSERT_EQUAL(access(path, R_OK), 0); /* set aside, not lost */
        dir_remove();
}

static void test_failed_sync_is_final(void)
{
        struct spool *s;
        int before;

        dir_make();
        s = open_with(0, 0);
        CU_ASSERT_EQUAL(append(s, 0, 1), 0);
        sync_error = EIO;
        CU_ASSERT_EQUAL(append(s, 1, 1), -EIO);
        before = syncs;
        CU_ASSERT_EQUAL(append(s, 2, 1), -EIO);
        CU_ASSERT_EQUAL(syncs, before); /* not tried again */
        expect_ids(s, 0, 1);
        spool_close(s);
        dir_remove();
}

static void test_full_disk_leaves_nothing(void)
{
        struct spool *s;

        dir_make();
        s = open_with(0, 0);
        CU_ASSERT_EQUAL(append(s, 0, 2), 0);
        for (int room = 0; room < 57; room += 8) {
                write_room = room;
                CU_ASSERT_EQUAL(append(s, 2, 3), -ENOSPC);
                write_room = -1;
                expect_ids(s, 0, 2);
        }
        CU_ASSERT_EQUAL(append(s, 2, 3), 0);
        expect_ids(s, 0, 5);
        spool_close(s);
        s = open_with(0, 0);
        write_room = 7; /* not even the head of a new segment */
        CU_ASSERT_EQUAL(append(s, 5, 1), -ENOSPC);
        write_room = -1;
        CU_ASSERT_EQUAL(append(s, 5, 1), 0);
        expect_ids(s, 0, 6);
        CU_ASSERT_EQUAL(reports, 0);
        spool_close(s);
        dir_remove();
}

static void test_bounded(void)
{
        struct spool *s;
        uint32_t n = 0;

        dir_make();
        s = open_with(1000, 8000);
        while (n < 2000 && append(s, n, 1) == 0)
                n++;
        CU_ASSERT_TRUE(n > 100 && n < 2000);
        CU_ASSERT_TRUE(spool_bytes(s) <= 8000);
        expect_ids(s, 0, n);
        CU_ASSERT_EQUAL(spool_release(s, spool_end(s)), 0);
        CU_ASSERT_EQUAL(append(s, n, 1), 0);
        spool_close(s);
        dir_remove();
}

/* A child appends and says on a pipe what was durable; it is killed at a random moment. */
static void test_kill_loop(void)
{
        uint32_t next = 0;

        dir_make();
        for (int round = 0; round < 60; round++) {
                struct spool *s;
                uint32_t acked = next, ids[2048];
                size_t n;
                int p[2];
                pid_t pid;

                CU_ASSERT_EQUAL_FATAL(pipe(p), 0);
                pid = fork();
                if (!pid) {
                        s = open_with(2000, 1 << 24);
                        for (uint32_t i = next;; i += 2) {
                                uint32_t end = i + 2;

                                if (append(s, i, 2) || write(p[1], &end, 4) != 4)
                                        _exit(1);
                        }
                }
                close(p[1]);
                /* Somewhere after the first acknowledgements, however slow the disk is. */
                for (int i = 0; i <= round % 5; i++)
                        CU_ASSERT_EQUAL_FATAL(read(p[0], &acked, 4), 4);
                usleep((useconds_t)((round * 7919) % 3000));
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
                while (read(p[0], &acked, 4) == 4)
                        ;
                close(p[0]);
                s = open_with(2000, 1 << 24);
                n = read_ids(s, ids, 2048);
                for (size_t i = 1; i < n; i++)
                        CU_ASSERT_EQUAL(ids[i], ids[i - 1] + 1);
                next = n ? ids[n - 1] + 1 : next;
                CU_ASSERT_TRUE(next >= acked); /* at most the batch in flight is more */
                CU_ASSERT_TRUE(next <= acked + 2);
                spool_release(s, spool_end(s));
                spool_close(s);
        }
        CU_ASSERT_TRUE(next > 60);
        dir_remove();
}

HR_TESTS("store.spool",
         { "records come back in order, over segments and restarts", test_order_and_segments },
         { "the reader follows the writer", test_cursor_follows_the_writer },
         { "a tail torn at every byte", test_torn_at_every_byte },
         { "a flipped byte costs one record", test_flipped_byte_costs_one_record },
         { "a failed fdatasync is final", test_failed_sync_is_final },
         { "a full disk leaves nothing behind", test_full_disk_leaves_nothing },
         { "the size is bounded", test_bounded }, { "kill -9 at any moment", test_kill_loop })
