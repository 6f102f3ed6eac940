// A program whose library brings operators of its own.
#include "cpp_use.h"
#include <cstdio>

extern "C" int plugin_use();

int main()
{
	printf("%d\n", use_all());
	return plugin_use();
}
