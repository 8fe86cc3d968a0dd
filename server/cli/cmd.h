/* The commands of `waymark`, one per cmd_<name>.c. Each gets its own argv, argv[0] being the command's name, and
 * returns the exit code. */
#ifndef WAYMARK_CLI_CMD_H
#define WAYMARK_CLI_CMD_H

/* Exit codes. 1 is kept for "checked, and not good". */
#define CMD_OK 0
#define CMD_NOT_GOOD 1
#define CMD_FAILED 2

int cmd_journal(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_verify(int argc, char **argv);

#endif
