/* waymark: the command-line tool. This file finds the command; cmd_*.c are the commands. */
#include <stdio.h>
#include <string.h>

#include "server/cli/cmd.h"

#include "waymark/banned.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    {"journal", cmd_journal, "look at a journal's segments and entries; find damage"},
    {"status", cmd_status, "ask a running waymarkd how it is, and whether its counts prove it complete"},
    {"verify", cmd_verify, "check the chains of digests and the trail files in a bucket or folder"},
};

static void usage(FILE *to)
{
    (void)fputs("usage: waymark COMMAND [ARGUMENTS]\n"
                "\n"
                "commands:\n",
                to);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        (void)fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].summary);
    (void)fputs("\n"
                "  waymark COMMAND --help     what a command takes\n"
                "  waymark --version\n",
                to);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return CMD_FAILED;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return CMD_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        (void)puts("waymark " WAYMARK_VERSION);
        return CMD_OK;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    (void)fprintf(stderr, "waymark: unknown command '%s'; `waymark --help` lists them\n", argv[1]);
    return CMD_FAILED;
}
