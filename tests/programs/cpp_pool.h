// A program's own operators, as many as POOL asks for: blocks with a header that
// no other heap's have. A block of somebody else ends the program.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <new>

static int pool_news, pool_deletes;

struct pool_head {
	std::size_t magic, size;
};
static const std::size_t POOL_MAGIC = 0x706f6f6c706f6f6c;

static inline void *pool_take(std::size_t size)
{
	pool_head *head = static_cast<pool_head *>(malloc(sizeof(pool_head) + size));

	if (!head)
		throw std::bad_alloc();
	pool_news++;
	head->magic = POOL_MAGIC;
	head->size = size;
	return head + 1;
}

static inline void pool_give(void *block) noexcept
{
	pool_head *head = static_cast<pool_head *>(block) - 1;

	if (!block)
		return;
	if (head->magic != POOL_MAGIC) {
		fputs("not a block of the pool\n", stderr);
		abort();
	}
	pool_deletes++;
	head->magic = 0;
	free(head);
}

#ifndef __clang__
// On purpose: the library's sized delete calls the one that is replaced.
#pragma GCC diagnostic ignored "-Wsized-deallocation"
#endif

// 1: the two that all others call. 2: new alone. 3: delete alone. 4: new and
// delete of arrays alone.
#if POOL == 1
void *operator new(std::size_t size) { return pool_take(size); }
void operator delete(void *block) noexcept { pool_give(block); }
#elif POOL == 2
void *operator new(std::size_t size)
{
	void *block = malloc(size ? size : 1);

	if (!block)
		throw std::bad_alloc();
	pool_news++;
	return block;
}
#elif POOL == 3
void operator delete(void *block) noexcept
{
	pool_deletes += block != nullptr;
	free(block);
}
#elif POOL == 4
void *operator new[](std::size_t size) { return pool_take(size); }
void operator delete[](void *block) noexcept { pool_give(block); }
#endif
