/* The error that a library with the test hooks makes when asked: a run under AddressSanitizer must end here. */
#include <stdint.h>

uint8_t e2b_test_read_freed(void);

int main(void)
{
    return e2b_test_read_freed() & 0;
}
