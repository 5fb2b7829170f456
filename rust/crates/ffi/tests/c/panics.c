/* A panic inside every export, through a shared library that was built to panic when asked: an INTERNAL error document each
   time, and everything works as before afterwards. Usage: panics EXPORTS_TXT */
#include "exports.h"

/* Only in a library built with the feature test-hooks. */
void e2b_test_panic(int32_t on);

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: panics EXPORTS_TXT\n");
        return 2;
    }
    expect_every_export(arguments[1]);
    for (int round = 0; round < 3; round++) {
        for (size_t each = 0; each < EXPORTS; each++) {
            struct value values[MOST_ARGUMENTS] = {{0}};
            e2b_buffer out = {0};
            pass(&exports[each], values, "sb_1", "/nowhere");
            e2b_test_panic(1);
            int32_t code = exports[each].call(1, 1, values, &out);
            e2b_test_panic(0);
            take(code, &out);
            EXPECT_ERROR(E2B_STATUS_INTERNAL, "INTERNAL");
            CHECK_IN(answer, has("panic in the library: asked to panic"));
        }
        /* The two that answer no document: a fallback, and nothing freed. */
        e2b_buffer kept = {0};
        CHECK(e2b_version(&kept) == E2B_STATUS_OK && kept.data != NULL);
        e2b_test_panic(1);
        CHECK(e2b_abi_version() == 0);
        e2b_buffer_free(&kept);
        e2b_test_panic(0);
        CHECK(kept.data != NULL);
        e2b_buffer_free(&kept);
        CHECK(kept.data == NULL);
        CHECK(e2b_abi_version() == E2B_ABI_VERSION);
        expect_counts(0, 0, 0, 0);
    }
    free(answer);
    return report("panics");
}
