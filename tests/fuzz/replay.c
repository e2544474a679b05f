/* Runs a fuzz target over files and folders of inputs (and the empty input): the corpus as a test.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static unsigned long runs;

/* Exact-size heap copy, so that the sanitizer sees a read past the end. */
static void offer(const uint8_t *data, size_t n)
{
        uint8_t *copy = malloc(n ? n : 1);

        if (!copy)
                abort();
        if (n)
                memcpy(copy, data, n);
        LLVMFuzzerTestOneInput(copy, n);
        free(copy);
        runs++;
}

static void replay_file(const char *path)
{
        static uint8_t all[1 << 20];
        FILE *f = fopen(path, "rb");
        size_t n;

        if (!f) {
                perror(path);
                exit(1);
        }
        n = fread(all, 1, sizeof all, f);
        fclose(f);
        offer(all, n);
        /* Every truncation and a flip of every bit, for small inputs. */
        for (size_t cut = 0; n <= 2048 && cut < n; cut++)
                offer(all, cut);
        for (size_t bit = 0; n <= 512 && bit < 8 * n; bit++) {
                all[bit / 8] ^= (uint8_t)(1u << bit % 8);
                offer(all, n);
                all[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
}

int main(int argc, char **argv)
{
        offer((const uint8_t *)"", 0);
        for (int i = 1; i < argc; i++) {
                DIR *d = opendir(argv[i]);
                struct dirent *e;

                if (!d) {
                        replay_file(argv[i]);
                        continue;
                }
                while ((e = readdir(d))) {
                        char path[4096];

                        if (e->d_name[0] == '.')
                                continue;
                        snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
                        replay_file(path);
                }
                closedir(d);
        }
        printf("%lu executions\n", runs);
        return runs > 1 || argc == 1 ? 0 : 1;
}
