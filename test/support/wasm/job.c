// The jobs of the engine contract suite: print OUT ERR CODE | bytes COUNT | env NAME | hang | sleep
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc == 5 && strcmp(argv[1], "print") == 0) {
    fputs(argv[2], stdout);
    fputs(argv[3], stderr);
    return atoi(argv[4]);
  }
  if (argc == 3 && strcmp(argv[1], "bytes") == 0) {
    setvbuf(stdout, NULL, _IOFBF, 100);
    for (long left = atol(argv[2]); left > 0; left--) putchar('a' + left % 26);
    return 0;
  }
  if (argc == 3 && strcmp(argv[1], "env") == 0) {
    const char *value = getenv(argv[2]);
    printf("%s=%s\n", argv[2], value == NULL ? "(unset)" : value);
    return 0;
  }
  if (argc == 2 && strcmp(argv[1], "hang") == 0) {
    puts("started");
    fflush(stdout);
    for (volatile unsigned long turn = 0;; turn++) {
    }
  }
  if (argc == 2 && strcmp(argv[1], "sleep") == 0) {
    puts("started");
    fflush(stdout);
    sleep(3600);
    return 0;
  }
  fputs("usage: job print OUT ERR CODE | bytes COUNT | env NAME | hang | sleep\n", stderr);
  return 64;
}
