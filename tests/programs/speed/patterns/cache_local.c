/* Small objects in local groups: lists and search trees that are built, walked
 * some times and, some groups later, freed, all within a processor's cache. */
#include "pattern.h"

#define GROUPS 26000
#define NODES 400
#define WALKS 2
/* Groups that live at a time. */
#define LIVING 24

struct node {
	struct node *left, *right;
	uint64_t key;
	unsigned value;
};

struct item {
	struct item *next;
	uint32_t length;
	char text[];
};

static struct node *insert(struct node *root, uint64_t key)
{
	struct node *node = must(malloc(sizeof *node)), *at = root;
	*node = (struct node){ .key = key, .value = (unsigned)key };
	while (at) {
		struct node **side = key < at->key ? &at->left : &at->right;
		if (!*side) {
			*side = node;
			return root;
		}
		at = *side;
	}
	return node;
}

static uint64_t walk(const struct node *node)
{
	return node ? node->value + 3 * walk(node->left) + walk(node->right) : 0;
}

static void drop_tree(struct node *node)
{
	if (!node)
		return;
	drop_tree(node->left);
	drop_tree(node->right);
	free(node);
}

/* What a group built: one of the two. */
struct group {
	struct node *root;
	struct item *first;
};

static void drop(struct group *group)
{
	drop_tree(group->root);
	while (group->first) {
		struct item *next = group->first->next;
		free(group->first);
		group->first = next;
	}
	group->root = NULL;
}

static void add_item(struct group *group, uint64_t *seed, unsigned value)
{
	uint32_t length = (uint32_t)between(seed, 4, 60);
	struct item *item = must(malloc(sizeof *item + length));
	*item = (struct item){ .next = group->first, .length = length };
	memset(item->text, (int)value, length);
	group->first = item;
}

static uint64_t use(const struct group *group)
{
	uint64_t total = walk(group->root);
	for (const struct item *item = group->first; item; item = item->next)
		total += (unsigned char)item->text[item->length - 1];
	return total;
}

uint64_t cache_local(struct amount amount)
{
	uint64_t seed = 42, total = 0, groups = scaled(GROUPS, amount);
	struct group living[LIVING] = { 0 };
	for (uint64_t n = 0; n < groups; n++) {
		struct group *group = &living[n % LIVING];
		drop(group);
		for (unsigned i = 0; i < NODES; i++) {
			if (n % 2)
				group->root = insert(group->root, draw(&seed));
			else
				add_item(group, &seed, i);
		}
		for (unsigned i = 0; i < WALKS; i++)
			total += use(group);
	}
	for (unsigned i = 0; i < LIVING; i++)
		drop(&living[i]);
	operations += groups * NODES;
	return total;
}
