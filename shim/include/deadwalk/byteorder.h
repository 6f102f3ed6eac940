/*
 * deadwalk: numbers in either order of bytes. Of a constant: a constant.
 */
#ifndef DEADWALK_BYTEORDER_H
#define DEADWALK_BYTEORDER_H

#include <asm/byteorder.h>
#include <deadwalk/types.h>

#ifndef cpu_to_le16
#define cpu_to_le16(x) ((__le16)(__u16)(x))
#define cpu_to_le32(x) ((__le32)(__u32)(x))
#define cpu_to_le64(x) ((__le64)(__u64)(x))
#define le16_to_cpu(x) ((__u16)(x))
#define le32_to_cpu(x) ((__u32)(x))
#define le64_to_cpu(x) ((__u64)(x))
#endif
#ifndef cpu_to_be16
#define cpu_to_be16(x) ((__be16)__builtin_bswap16((__u16)(x)))
#define cpu_to_be32(x) ((__be32)__builtin_bswap32((__u32)(x)))
#define cpu_to_be64(x) ((__be64)__builtin_bswap64((__u64)(x)))
#define be16_to_cpu(x) __builtin_bswap16((__u16)(x))
#define be32_to_cpu(x) __builtin_bswap32((__u32)(x))
#define be64_to_cpu(x) __builtin_bswap64((__u64)(x))
#endif
#ifndef le16_to_cpup
#define le16_to_cpup(p) le16_to_cpu(*(p))
#define le32_to_cpup(p) le32_to_cpu(*(p))
#define be16_to_cpup(p) be16_to_cpu(*(p))
#define be32_to_cpup(p) be32_to_cpu(*(p))
#endif

/* As <netinet/in.h> has them, whichever comes first. */
#ifdef __cplusplus
#define DEADWALK_NOTHROW noexcept(true)
extern "C" {
#else
#define DEADWALK_NOTHROW
#endif
#ifndef htons
extern __u16 htons(__u16) DEADWALK_NOTHROW __attribute__((__const__));
extern __u16 ntohs(__u16) DEADWALK_NOTHROW __attribute__((__const__));
extern __u32 htonl(__u32) DEADWALK_NOTHROW __attribute__((__const__));
extern __u32 ntohl(__u32) DEADWALK_NOTHROW __attribute__((__const__));
#endif
#ifdef __cplusplus
}
#endif

#endif
