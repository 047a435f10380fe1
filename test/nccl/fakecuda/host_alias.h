// Tells code that stands in for hardware (a simulated NIC) the address by which the CPU reaches what a device pointer
// names. A host pointer comes back unchanged. Plugins under test find it with dlsym(RTLD_DEFAULT,
// "fakecuda_host_alias").
#pragma once

extern "C" void* fakecuda_host_alias(void* pointer);
