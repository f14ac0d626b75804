/* The header and the library of a package are of one version, and a call goes through. */

#include <stdio.h>
#include <stdlib.h>

#include <fencekit.h>

int main(void) {
    if (fencekit_live_handles() != 0) {
        return EXIT_FAILURE;
    }
    printf("%s %s\n", FENCEKIT_VERSION, fencekit_version());
    return EXIT_SUCCESS;
}
