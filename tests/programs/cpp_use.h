// Uses every form of new and delete, and the library's own code.
#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <sstream>
#include <string>
#include <vector>

struct alignas(64) use_wide {
	char bytes[64];
	~use_wide() { bytes[0] = 0; }
};
struct use_base {
	virtual ~use_base() {}
	long words[3] = {};
};
struct use_derived : use_base {
	std::string text = std::string(100, 'd');
	long more[10] = {};
};
struct use_own_class {
	static void *operator new(std::size_t size) { return malloc(size); }
	static void operator delete(void *block) { free(block); }
	static void *operator new[](std::size_t size) { return ::operator new(size); }
	static void operator delete[](void *block) { ::operator delete(block); }
	~use_own_class() { word = 0; }
	long word = 1;
};

template <class T> static T *use_made(T *block)
{
	static T *volatile kept;
	kept = block;
	return kept;
}

static inline int use_all()
{
	delete use_made(new int(1));
	delete[] use_made(new int[7]);
	delete use_made(new (std::nothrow) int(1));
	delete[] use_made(new (std::nothrow) int[7]);
	delete use_made(new use_wide);
	delete[] use_made(new use_wide[3]);
	delete use_made(new (std::nothrow) use_wide);
	delete[] use_made(new (std::nothrow) use_wide[3]);
	delete[] use_made(new std::string[4]);
	delete use_made<use_base>(new use_derived);
	delete use_made(new use_own_class);
	delete[] use_made(new use_own_class[3]);

	std::unique_ptr<use_base> owner(new use_derived);
	std::shared_ptr<use_base> shared = std::make_shared<use_derived>();
	std::weak_ptr<use_base> weak = shared;
	std::function<long()> call = [owner = owner.get(), shared, wide = use_wide()] {
		return owner->words[0] + shared->words[1] + wide.bytes[0] * 0;
	};
	std::map<std::string, std::vector<int>> map;
	for (int i = 0; i < 100; i++)
		map[std::to_string(i * 7 % 31) + std::string(i % 40, 'k')].push_back(i);
	std::ostringstream stream;
	for (const auto &[key, values] : map)
		stream << key << values.size() << std::string(50, 's');
	std::string text = stream.str();
	text.append(text).insert(10, std::string(1000, 'i'));
	std::vector<std::string> words(50, text.substr(0, 300));
	std::stable_sort(words.begin(), words.end());
	try {
		throw use_derived();
	} catch (const use_base &thrown) {
		text += std::to_string(thrown.words[0]);
	}
	return static_cast<int>((text.size() + words.size() + call()) % 1000);
}
