/*
 * Blocks of one family given back to another: new, new[], malloc. The clean
 * twins give them back to their own.
 */
#include "matrix.h"
#include <new>

extern "C" {

OUT_OF_LINE static void *new_block(size_t bytes)
{
	return hide(operator new(bytes)); /* new here */
}

OUT_OF_LINE static void *new_array(size_t bytes)
{
	return hide(operator new[](bytes)); /* new[] here */
}

OUT_OF_LINE static void delete_block(void *block)
{
	operator delete(block); /* deleted here */
}

OUT_OF_LINE static void delete_array(void *block)
{
	operator delete[](block); /* delete[] here */
}

OUT_OF_LINE static void delete_sized(void *block, size_t bytes)
{
	operator delete(block, bytes); /* deleted with its size here */
}
}

static void new_free()
{
	void *block = new_block(size);

	bad ? free_block(block) : delete_block(block);
}

static void array_free()
{
	void *block = new_array(size);

	bad ? free_block(block) : delete_array(block);
}

static void new_delete_array()
{
	void *block = new_block(size);

	bad ? delete_array(block) : delete_block(block);
}

static void array_delete()
{
	void *block = new_array(size);

	bad ? delete_block(block) : delete_array(block);
}

static void malloc_delete()
{
	void *block = allocate_block(size);

	bad ? delete_block(block) : free_block(block);
}

static void malloc_delete_array()
{
	void *block = allocate_block(size);

	bad ? delete_array(block) : free_block(block);
}

static void wrong_size()
{
	delete_sized(new_block(size), bad ? size * 2 : size);
}

int main(int argc, char **argv)
{
	static const struct matrix_case cases[] = {
		{ "new_free", new_free },
		{ "array_free", array_free },
		{ "new_delete_array", new_delete_array },
		{ "array_delete", array_delete },
		{ "malloc_delete", malloc_delete },
		{ "malloc_delete_array", malloc_delete_array },
		{ "wrong_size", wrong_size },
		{ 0, 0 },
	};

	return matrix(argc, argv, cases);
}
