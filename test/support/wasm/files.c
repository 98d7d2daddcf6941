// Reads the input /inputs/text.txt, writes it in capitals to /outputs/capitals.txt, tries to reach files of the
// host, and exits with 3 when all went as it should.
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int must_fail(const char *path, int flags) {
  int fd = open(path, flags, 0644);
  if (fd >= 0) {
    printf("REACHED %s\n", path);
    close(fd);
    return 1;
  }
  printf("refused %s: %s\n", path, strerror(errno));
  return 0;
}

int main(int argc, char **argv) {
  FILE *in = fopen("/inputs/text.txt", "r");
  if (in == NULL) {
    perror("/inputs/text.txt");
    return 1;
  }
  FILE *out = fopen("/outputs/capitals.txt", "w");
  if (out == NULL) {
    perror("/outputs/capitals.txt");
    return 1;
  }
  for (int c = getc(in); c != EOF; c = getc(in)) putc(toupper(c), out);
  fclose(in);
  if (fclose(out) != 0) return 1;

  int reached = 0;
  reached += must_fail("/etc/passwd", O_RDONLY);
  reached += must_fail("../../../../../../etc/passwd", O_RDONLY);
  reached += must_fail("/inputs/../../../../../../etc/passwd", O_RDONLY);
  reached += must_fail("/inputs/absolute", O_RDONLY);
  reached += must_fail("/inputs/climbing", O_RDONLY);
  reached += must_fail("/inputs/folder/passwd", O_RDONLY);
  reached += must_fail("/inputs/new.txt", O_WRONLY | O_CREAT);
  reached += must_fail("/inputs/text.txt", O_RDWR);
  reached += must_fail("/inputs/text.txt", O_WRONLY | O_TRUNC);
  reached += must_fail("/new.txt", O_WRONLY | O_CREAT);
  if (symlink("/etc/passwd", "/outputs/planted") == 0) reached += must_fail("/outputs/planted", O_RDONLY);
  if (symlink("../../../../etc/passwd", "/outputs/planted") == 0) reached += must_fail("/outputs/planted", O_RDONLY);
  if (link("/inputs/text.txt", "/outputs/linked.txt") == 0) reached += 1;
  if (unlink("/inputs/text.txt") == 0) reached += 1;
  if (rename("/inputs/text.txt", "/outputs/moved.txt") == 0) reached += 1;
  fprintf(stderr, "%s: %d of the host's files reached\n", argv[0], reached);
  return reached == 0 ? 3 : 1;
}
