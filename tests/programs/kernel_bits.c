/*
 * Bits, rounding, orders of bytes, sizes of arrays, and texts.
 */
#include <asm/bitops.h>
#include <asm/div64.h>
#include <asm/io.h>
#include <linux/bitops.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/time.h>
#include <deadwalk/byteorder.h>
#include "kernel_check.h"

struct frames {
	int count;
	u32 frame[];
};

static void bits(void)
{
	DECLARE_BITMAP(map, 130) = { 0 };
	unsigned long n, sum = 0;

	CHECK(sizeof(map) == 24 && BITS_TO_LONGS(64) == 1);
	set_bit(0, map);
	__set_bit(129, map);
	CHECK(test_bit(129, map) && map[2] == 2 && !test_and_set_bit(64, map));
	CHECK(test_and_clear_bit(0, map) && !test_and_change_bit(3, map) && test_bit(3, map));
	for_each_set_bit(n, map, 130)
		sum += n;
	CHECK(sum == 3 + 64 + 129 && find_first_bit(map, 130) == 3);
	CHECK(find_next_bit(map, 130, 65) == 129 && find_next_bit(map, 129, 65) == 129);
	CHECK(find_first_zero_bit(map, 130) == 0 && find_next_zero_bit(map, 130, 3) == 4);
	clear_bit(3, map);
	change_bit(64, map);
	assign_bit(129, map, 0);
	CHECK(find_first_bit(map, 130) == 130);
	CHECK(__ffs(8UL) == 3 && ffz(7UL) == 3 && fls(0) == 0 && fls(8) == 4 && fls64(1UL << 40) == 41);
	CHECK(hweight32(0xf0f0u) == 8 && GENMASK(7, 4) == 0xf0 && BIT_MASK(65) == 2);
}

static void numbers(void)
{
	unsigned long long big = 1000000007ULL;

	CHECK(ALIGN(13, 8) == 16 && ALIGN_DOWN(13, 8) == 8 && IS_ALIGNED(16, 8));
	CHECK(round_up(13, 4) == 16 && round_down(13, 4) == 12 && roundup(13, 5) == 15);
	CHECK(rounddown(13, 5) == 10 && DIV_ROUND_CLOSEST(7, 2) == 4 && is_power_of_2(64));
	CHECK(DIV_ROUND_CLOSEST(-7, 2) == -4 && DIV_ROUND_CLOSEST(-5, 4) == -1);
	CHECK(DIV_ROUND_CLOSEST(5u, 4) == 1 && DIV_ROUND_CLOSEST(0u, 4) == 0);
	CHECK(upper_32_bits(0x123456789aULL) == 0x12 && lower_32_bits(0x123456789aULL) == 0x3456789a);
	CHECK(do_div(big, 1000) == 7 && big == 1000000 && div_u64(big, 10) == 100000);
	CHECK(U8_MAX == 255 && S16_MAX == 32767 && typecheck(int, wrong));
	CHECK(cpu_to_be16(0x1234) == 0x3412 && be32_to_cpu(cpu_to_be32(7)) == 7);
	CHECK(cpu_to_le32(7) == 7 && htons(0x1234) == 0x3412 && ntohl(htonl(5)) == 5);
}

static void sizes_and_texts(void)
{
	struct frames *frames = NULL;
	char text[4], *end;

	CHECK(struct_size(frames, frame, 3) == 16 && array_size(3, 4) == 12);
	CHECK(array_size(~0UL, 2) == ~0UL && !kmalloc(array_size(~0UL, 2), GFP_KERNEL));
	CHECK(!kmalloc(struct_size(frames, frame, ~0UL / 4), GFP_KERNEL));
	CHECK(ZERO_OR_NULL_PTR(NULL) && ZERO_OR_NULL_PTR(ZERO_SIZE_PTR));
	CHECK(strscpy(text, "abc", sizeof(text)) == 3 && !strcmp(text, "abc"));
	CHECK(strscpy(text, "abcd", sizeof(text)) == -E2BIG && !strcmp(text, "abc"));
	CHECK(scnprintf(text, sizeof(text), "%d", 12345) == 3 && !strcmp(text, "123"));
	CHECK(simple_strtoul("0x1f;", &end, 0) == 31 && *end == ';');
}

static void waits_and_devices(void)
{
	struct timeval now;
	unsigned char reg = 3;
	int cpu, cpus = 0;

	set_current_state(TASK_UNINTERRUPTIBLE);
	CHECK(current->state == TASK_UNINTERRUPTIBLE && schedule_timeout(1) == 0);
	CHECK(current->state == TASK_RUNNING && !signal_pending(current));
	schedule();
	do_gettimeofday(&now);
	/* As in the kernel, the seconds are those of the last tick. */
	CHECK(now.tv_sec > 0 && get_seconds() + 1 >= (unsigned long)now.tv_sec);
	for_each_online_cpu(cpu)
		cpus++;
	CHECK(cpus == 1 && smp_processor_id() == 0);
	CHECK(inb(0x3f2) == 0xff && inw(0x3f2) == 0xffff && inl(0x3f2) == ~0u);
	outb(1, 0x3f2);
	writeb(readb(&reg) | 4, &reg);
	CHECK(reg == 7);
}

int main(void)
{
	bits();
	numbers();
	sizes_and_texts();
	waits_and_devices();
	return wrong;
}
