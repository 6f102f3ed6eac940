/*
 * A library that allocates in its constructors (DT_INIT, with a priority, plain)
 * and frees in its destructors. Linked, preloaded, or loaded at run time.
 */
#include "survive.h"

static unsigned char *early[3];
/* Whether the record of a watching library was there before this constructor. */
static int was_watched = -1;

static void remember(int at)
{
	early[at] = malloc(1000 + at * 50000);
	mark(early[at], 1000 + at * 50000, at + 1);
	live_a_little(at);
}

/* The name is DT_INIT's, see the flags. */
void survive_init(void)
{
	remember(0);
}

__attribute__((constructor(101))) static void with_priority(void)
{
	remember(1);
}

#ifdef LAST_WORDS
/*
 * Runs behind all destructors, since this constructor came first: on_exit knows
 * nothing of libraries. Not for one that is unloaded.
 */
static void last_words(int status, void *kept)
{
	(void)status;
	live_a_little(17);
	free(kept);
	if (write(1, "last words\n", 11) < 0)
		_exit(1);
}
#endif

__attribute__((constructor)) static void plain(void)
{
	char line[300];
	FILE *maps = fopen("/proc/self/maps", "r");

	was_watched = 0;
	while (maps && fgets(line, sizeof line, maps))
		was_watched |= strstr(line, ".dwrec") != NULL;
	if (maps)
		fclose(maps);
	remember(2);
#ifdef LAST_WORDS
	on_exit(last_words, strdup("kept"));
#endif
}

__attribute__((destructor)) static void ends(void)
{
	for (int at = 0; at < 3; at++) {
		check(early[at], 1000 + at * 50000, at + 1);
		free(early[at]);
	}
	live_a_little(9);
}

int survive_library_was_watched(void)
{
	return was_watched;
}

char *survive_library_give(const char *text)
{
	char *block = malloc(strlen(text) + 1);

	return strcpy(block, text);
}

/* Takes a block of the caller's and returns another one. */
char *survive_library_swap(char *block)
{
	char *mine = strdup(block);

	free(block);
	return realloc(mine, 5000);
}
