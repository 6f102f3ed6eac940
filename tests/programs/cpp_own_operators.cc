// A program with operators of its own: says how often they were called.
#include "cpp_pool.h"
#include "cpp_use.h"

int main()
{
	int sum = use_all();

	printf("%d, %d news, %d deletes\n", sum, pool_news, pool_deletes);
	return 0;
}
