# Cross-builds for arm64 on another machine; tools/deps_arm64.sh installs the compiler and fills the folder of libraries.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

get_filename_component(RELAY_ARM64_LIBRARIES ${CMAKE_CURRENT_LIST_DIR}/../build/arm64-libraries ABSOLUTE)
# libc and libstdc++ come with the compiler; fmt, gtest and the header-only libraries from that folder.
set(CMAKE_FIND_ROOT_PATH ${RELAY_ARM64_LIBRARIES} /usr/aarch64-linux-gnu)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(CMAKE_CXX_STANDARD_INCLUDE_DIRECTORIES ${RELAY_ARM64_LIBRARIES}/usr/include)

# Tests are listed and run by it.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
