/* What Debian's cron reads in each line of standard input: its error, or the sets of minutes, hours, days of the month,
 * months and days of the week as bits (hexadecimal, the lowest value first) and its flags (cron.h). Compiled with cron's own
 * entry.c, env.c and misc.c, in its unpacked source (apt-get source cron):
 * gcc -w -fcommon -DDEBUGGING=0 -DDEBIAN -DPOSIX -D_GNU_SOURCE -I. -o ask-cron ask_cron.c entry.c env.c misc.c
 */
#define MAIN_PROGRAM
#include "cron.h"
#include <string.h>

static char *why;
static void error(char *message) { why = message; }

static unsigned long long bits(bitstr_t *set, int number) {
  unsigned long long found = 0;
  for (int at = 0; at < number; at++)
    if (bit_test(set, at)) found |= 1ULL << at;
  return found;
}

int main(void) {
  char *line = NULL, environment[MAX_ENVSTR], *none[1] = {NULL};
  size_t size = 0;
  ssize_t length;
  struct passwd user = {.pw_name = "postgres", .pw_dir = "/", .pw_uid = 1, .pw_gid = 1};
  while ((length = getline(&line, &size, stdin)) > 0) {
    FILE *file = fmemopen(line, length, "r");
    why = "";
    Set_LineNum(1)
    if (load_env(environment, file) == TRUE) puts("an environment");
    else {
      entry *found = load_entry(file, error, &user, none);
      if (!found) puts(*why ? why : "nothing");
      else printf("%llx %llx %llx %llx %llx %x\n", bits(found->minute, 60), bits(found->hour, 24), bits(found->dom, 31),
                  bits(found->month, 12), bits(found->dow, 7),
                  found->flags & (DOM_STAR | DOW_STAR | MIN_STAR | HR_STAR));
    }
    fclose(file);
  }
}
