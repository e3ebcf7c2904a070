/* Which library this is: what runs agrees with what was compiled against. */
#include "test.h"

int main(void) {
    int major = -1, minor = -1, patch = -1;
    CHECK(keyferry_abi_version() == KEYFERRY_ABI_VERSION);
    CHECK_TEXT(required_env("TEST_VERSION"), keyferry_version());
    CHECK(keyferry_version() == keyferry_version());
    CHECK(sscanf(keyferry_version(), "%d.%d.%d", &major, &minor, &patch) == 3);
    return 0;
}
