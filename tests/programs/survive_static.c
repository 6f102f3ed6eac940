/*
 * dynamic -> static -> dynamic by exec, with a variable handed down. Compiled
 * twice, once with -static: survive_static STATIC DYNAMIC [STAGE]
 */
#include "survive.h"

int main(int argc, char **argv)
{
	int stage = number(argc, argv, 3, 0);
	char next[2] = { '1' + stage, 0 };

	if (argc < 3)
		return 2;
	live_a_little(stage);
	dprintf(1, "stage %d: variable %s\n", stage, getenv("HANDED_DOWN"));
	if (stage == 2)
		return 4;
	execl(argv[stage + 1], "survive_static", argv[1], argv[2], next, (char *)NULL);
	return 1;
}
