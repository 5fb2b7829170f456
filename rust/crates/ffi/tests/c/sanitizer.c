/* Frees a buffer behind the library's back and then by the library: a run under AddressSanitizer must end here. */
#include <e2bridge.h>
#include <stdlib.h>

int main(void)
{
    e2b_buffer out = {0};
    if (e2b_version(&out) != E2B_STATUS_OK)
        return 0;
    free(out.data);
    e2b_buffer_free(&out);
    return 0;
}
