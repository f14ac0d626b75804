// The header as C++ reads it.

#include <fencekit.h>

#include <cstdio>
#include <cstring>

static_assert(sizeof(fencekit_result) == 4, "results are 32 bits");
static_assert(FENCEKIT_RESULT_OK == 0, "only success is 0");
static_assert(FENCEKIT_POWER_UNKNOWN == 0, "zeroed memory is not off");
static_assert(FENCEKIT_VERDICT_INCONCLUSIVE == 0, "zeroed memory is no verdict");

int main()
{
    fencekit_device *device = nullptr;
    const fencekit_option options[] = {{"ip", "127.0.0.1"}};
    fencekit_result result = fencekit_device_new("kasa", options, 1, &device, nullptr);
    bool good = result == FENCEKIT_RESULT_OK && std::strcmp(fencekit_device_label(device), "kasa @ 127.0.0.1") == 0;
    good = good && fencekit_device_free(device) == FENCEKIT_RESULT_OK && fencekit_live_handles() == 0;
    std::puts(good ? "1 checks passed" : "failed");
    return good ? 0 : 1;
}
