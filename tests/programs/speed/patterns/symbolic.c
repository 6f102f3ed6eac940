/* Arithmetic on numbers that are blocks: tiny, short-lived, freed nearly in the
 * reverse order. Pollard's rho, every intermediate result a block of its own. */
#include "pattern.h"

#define STEPS 2400000

/* A number in digits of 16 bits, the lowest first. */
struct number {
	uint16_t count;
	uint16_t digits[];
};

static struct number *new_number(unsigned count)
{
	struct number *number =
		must(malloc(sizeof *number + count * sizeof *number->digits));
	number->count = (uint16_t)count;
	operations++;
	return number;
}

static struct number *trimmed(struct number *number)
{
	while (number->count > 1 && !number->digits[number->count - 1])
		number->count--;
	return number;
}

static struct number *of(uint64_t value)
{
	struct number *number = new_number(4);
	for (unsigned i = 0; i < 4; i++, value >>= 16)
		number->digits[i] = (uint16_t)value;
	return trimmed(number);
}

static struct number *sum_of(const struct number *a, const struct number *b)
{
	unsigned count = (a->count > b->count ? a->count : b->count) + 1u;
	struct number *sum = new_number(count);
	uint32_t carry = 0;
	for (unsigned i = 0; i < count; i++, carry >>= 16) {
		carry += i < a->count ? a->digits[i] : 0;
		carry += i < b->count ? b->digits[i] : 0;
		sum->digits[i] = (uint16_t)carry;
	}
	return trimmed(sum);
}

static struct number *product_of(const struct number *a, const struct number *b)
{
	struct number *product = new_number(a->count + b->count);
	memset(product->digits, 0, product->count * sizeof *product->digits);
	for (unsigned i = 0; i < a->count; i++) {
		uint32_t carry = 0;
		for (unsigned j = 0; j < b->count; j++, carry >>= 16) {
			carry += product->digits[i + j] + (uint32_t)a->digits[i] * b->digits[j];
			product->digits[i + j] = (uint16_t)carry;
		}
		product->digits[i + b->count] = (uint16_t)carry;
	}
	return trimmed(product);
}

/* a modulo b, digit by digit from above; b has at most three digits. */
static struct number *rest_of(const struct number *a, const struct number *b)
{
	uint64_t divisor = 0, rest = 0;
	for (unsigned i = b->count; i-- > 0;)
		divisor = divisor << 16 | b->digits[i];
	for (unsigned i = a->count; i-- > 0;)
		rest = (rest << 16 | a->digits[i]) % divisor;
	return of(rest);
}

/* x -> x * x + 1 modulo n. */
static struct number *next(struct number *x, const struct number *n)
{
	struct number *one = of(1), *square = product_of(x, x);
	struct number *more = sum_of(square, one), *rest = rest_of(more, n);
	free(more);
	free(square);
	free(one);
	free(x);
	return rest;
}

uint64_t symbolic(struct amount amount)
{
	uint64_t total = 0, steps = scaled(STEPS, amount);
	/* 1000003 * 2000003 * 61: three digits. */
	struct number *n = of(122000549000549ULL), *slow = of(2), *fast = of(2);
	for (uint64_t step = 0; step < steps; step++) {
		slow = next(slow, n);
		fast = next(next(fast, n), n);
		struct number *both = sum_of(slow, fast);
		total += both->digits[0];
		free(both);
	}
	free(fast);
	free(slow);
	free(n);
	return total;
}
