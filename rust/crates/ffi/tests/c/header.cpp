// The header in C++: linkage, types, and that its constants may initialise constants.
#include <e2bridge.h>

#include <cstdio>
#include <type_traits>

static_assert(std::is_same<e2b_client, uint64_t>::value, "a client is a 64-bit number");
static_assert(std::is_standard_layout<e2b_buffer>::value && sizeof(e2b_buffer) == 16, "a pointer and a length");
static_assert(std::is_same<decltype(&e2b_version), int32_t (*)(e2b_buffer *)>::value, "status and out-buffer");
static_assert(E2B_ABSENT == INT64_MIN, "absent is the least integer");
static constexpr int32_t status = E2B_STATUS_INTERNAL;

int main()
{
    int passed = 0, failed = 0;
    (e2b_abi_version() == E2B_ABI_VERSION ? passed : failed)++;
    e2b_buffer out = {};
    (e2b_version(&out) == E2B_STATUS_OK && out.length > 0 ? passed : failed)++;
    e2b_buffer_free(&out);
    (out.data == nullptr && status == 14 ? passed : failed)++;
    std::printf("header: %d passed, %d failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
