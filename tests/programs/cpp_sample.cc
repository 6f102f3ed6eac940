// Much of the standard library, in several threads: prints a sum of it all.
#include "cpp_use.h"
#include <any>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <fstream>
#include <future>
#include <iostream>
#include <list>
#include <locale>
#include <memory_resource>
#include <mutex>
#include <optional>
#include <queue>
#include <random>
#include <regex>
#include <set>
#include <system_error>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <valarray>
#include <variant>

namespace
{

struct Shape {
	virtual ~Shape() = default;
	virtual double area() const = 0;
};
struct Named {
	explicit Named(std::string name) : name(std::move(name)) {}
	virtual ~Named() = default;
	std::string name;
};
// A base behind the first: its pointer is not the block's.
struct Square : Shape, virtual Named {
	explicit Square(double side) : Named("a square with a long name, " + std::to_string(side)), side(side) {}
	double area() const override { return side * side; }
	double side;
};
struct Node {
	std::unique_ptr<Node> left, right;
	std::string key;
};
struct Failure : std::runtime_error {
	explicit Failure(int depth) : std::runtime_error("at depth " + std::to_string(depth)), trace(depth, 1) {}
	std::vector<int> trace;
};
// May throw while an array of it is made.
struct Fragile {
	static thread_local int alive;
	Fragile()
	{
		if (alive == 5)
			throw Failure(alive);
		alive++;
	}
	~Fragile() { alive--; }
	std::string text = std::string(40, 'f');
};
thread_local int Fragile::alive;

class Hidden;
struct Handle {
	Handle();
	~Handle();
	std::unique_ptr<Hidden> hidden;
};
class Hidden {
	std::vector<std::string> lines = { std::string(60, 'h'), "short" };
};
Handle::Handle() : hidden(new Hidden) {}
Handle::~Handle() = default;

thread_local std::vector<std::string> per_thread;
std::mutex total_lock;
long total;

void add(long amount)
{
	std::lock_guard<std::mutex> lock(total_lock);
	total += amount;
}

void insert(std::unique_ptr<Node> &node, const std::string &key)
{
	if (!node) {
		node = std::make_unique<Node>();
		node->key = key;
		return;
	}
	insert(key < node->key ? node->left : node->right, key);
}

int sink(int depth)
{
	std::vector<std::string> locals(depth, std::string(depth * 3, 'l'));

	if (depth == 20)
		throw Failure(depth);
	return sink(depth + 1) + static_cast<int>(locals.size());
}

void exceptions()
{
	for (int i = 0; i < 50; i++) {
		try {
			sink(i % 10);
		} catch (const Failure &failure) {
			add(static_cast<long>(failure.trace.size()) + failure.what()[0]);
		}
	}
	try {
		delete[] use_made(new Fragile[10]);
	} catch (const Failure &) {
		add(Fragile::alive);
	}
	std::exception_ptr kept;
	try {
		std::string().at(3);
	} catch (...) {
		kept = std::current_exception();
	}
	try {
		std::rethrow_exception(kept);
	} catch (const std::out_of_range &error) {
		add(error.what()[0] == 'b');
	}
}

void containers(unsigned seed)
{
	std::mt19937 random(seed);
	std::list<std::string> list;
	std::deque<std::vector<int>> deque;
	std::set<std::string> set;
	std::unordered_map<std::string, std::shared_ptr<Square>> shapes;
	std::priority_queue<long> queue;
	std::forward_list<std::any> anything;
	std::pmr::monotonic_buffer_resource arena;
	std::pmr::vector<std::pmr::string> pooled(&arena);
	std::unique_ptr<Node> tree;

	for (int i = 0; i < 400; i++) {
		std::string key = std::to_string(random() % 1000) + std::string(i % 50, 'c');
		list.push_front(key);
		deque.emplace_back(i % 30, i);
		set.insert(key);
		shapes[key] = std::make_shared<Square>(i);
		queue.push(static_cast<long>(random() % 100));
		anything.push_front(key);
		pooled.emplace_back(key.c_str());
		insert(tree, key);
		if (i % 3 == 0) {
			list.pop_back();
			deque.pop_front();
			queue.pop();
		}
	}
	list.sort();
	add(static_cast<long>(list.size() + deque.size() + set.size() + shapes.size() + queue.top()));
	add(static_cast<long>(std::any_cast<std::string>(anything.front()).size() + pooled[7].size()));
	std::vector<std::unique_ptr<Shape>> owned;
	for (auto &[key, shape] : shapes)
		owned.push_back(std::make_unique<Square>(shape->side));
	std::unique_ptr<Named> second(new Square(3));
	add(static_cast<long>(owned.size() + second->name.size()));
}

void text()
{
	std::regex pattern("([a-z]+)([0-9]*)");
	std::string words = "alpha1 beta22 gamma333 delta";
	for (std::sregex_iterator it(words.begin(), words.end(), pattern), end; it != end; ++it)
		add((*it)[1].length() * 100 + (*it)[2].length());
	std::stringstream stream;
	stream.imbue(std::locale::classic());
	stream << std::hex << 255 << ' ' << 1.5 << ' ' << words;
	std::string hex;
	stream >> hex;
	add(hex == "ff");
	std::wstring wide(200, L'w');
	add(static_cast<long>(std::locale().name().size() > 0) + static_cast<long>(wide.size()));
	std::ifstream missing("/nonexistent/file");
	add(missing.is_open());
	std::ifstream self("/proc/self/maps");
	std::string line;
	while (std::getline(self, line))
		;
	std::filesystem::path path("/usr");
	path /= std::string(100, 'p');
	std::error_code error;
	add(std::filesystem::exists(path, error) + static_cast<long>(path.string().size()));
	for (const auto &entry : std::filesystem::directory_iterator("/proc/self/task"))
		add(entry.path().empty());
}

void values()
{
	std::variant<int, std::string, std::vector<int>> variant = std::string(70, 'v');
	variant = std::vector<int>(30, 2);
	std::optional<std::string> optional(std::string(80, 'o'));
	optional.reset();
	std::tuple<std::string, std::unique_ptr<int>> tuple(std::string(90, 't'), new int(3));
	std::valarray<double> valarray(1.5, 100);
	Handle handle;
	void *room = ::operator new(sizeof(Square));
	Square *placed = new (room) Square(2);
	add(static_cast<long>(placed->area() + valarray.sum()) + *std::get<1>(tuple));
	placed->~Square();
	::operator delete(room);
	std::allocator<Square> allocator;
	Square *raw = allocator.allocate(4);
	allocator.deallocate(raw, 4);
	delete[] use_made(new std::vector<std::string>[6]);
}

} // namespace

int main()
{
	std::vector<std::thread> threads;
	std::vector<std::future<int>> futures;
	std::promise<std::string> promise;
	std::future<std::string> promised = promise.get_future();

	for (unsigned i = 0; i < 4; i++)
		threads.emplace_back([i] {
			per_thread.assign(20, std::string(100, 't'));
			for (int round = 0; round < 5; round++) {
				containers(i * 10 + round);
				exceptions();
			}
		});
	for (int i = 0; i < 4; i++)
		futures.push_back(std::async(std::launch::async, [i] {
			if (i == 3)
				throw Failure(i);
			return use_all() + i;
		}));
	text();
	values();
	promise.set_value(std::string(150, 'p'));
	add(static_cast<long>(promised.get().size()));
	for (auto &future : futures) {
		try {
			add(future.get());
		} catch (const Failure &failure) {
			add(static_cast<long>(failure.trace.size()));
		}
	}
	for (auto &thread : threads)
		thread.join();
	std::cout << "sum " << total << std::endl;
	return Fragile::alive;
}
