# Front door. Every target is one line of something that can be run by hand; `make` alone builds.
PRESET ?= release
BUILD  := build/$(PRESET)
JOBS   ?= $(shell nproc)
NCCL   := build/nccl

.DEFAULT_GOAL := all
.PHONY: all deps test-deps nccl programs demo check check-all unit e2e bench lint format tidy asan tsan clang fuzz mutants \
        docs clean arm64 check-arm64 check-rdma bench-rdma coverage images soak

all: deps                   ## the plugin and nccl-relay, and nothing else
	@cmake --preset $(PRESET) --log-level=WARNING && cmake --build $(BUILD) -j $(JOBS) --target nccl-net-relay nccl-relay
	@ln -sfn $(PRESET)/libnccl-net-relay.so build/libnccl-net-relay.so
	@ln -sfn libnccl-net-relay.so build/librccl-net-relay.so
	@ln -sfn $(PRESET)/nccl-relay build/nccl-relay

deps:                       ## what Debian packages, to build
	@tools/deps.sh build

test-deps:                  ## and to test
	@tools/deps.sh test

nccl: test-deps             ## the real NCCL in several versions, pinned
	@test/nccl/fetch.sh $(NCCL) $(NCCL_VERSIONS)

programs: nccl all          ## what the tests over lab fabrics run
	@cmake --preset $(PRESET) --log-level=WARNING && cmake --build $(BUILD) -j $(JOBS) --target lab_programs

demo:                       ## NCCL's collectives over a chain of three nodes on this machine
	@test/e2e/demo.sh $(PRESET) $(JOBS)

check: nccl                 ## everything that decides whether a change may land, within 20 minutes on two cores
	@test/check.sh $(BUILD)

check-all: NCCL_VERSIONS := all
check-all: nccl             ## the full product; long
	@test/check.sh $(BUILD) all

unit: test-deps             ## the unit and conformance tests, without a sanitizer
	@cmake --preset $(PRESET) --log-level=WARNING && cmake --build $(BUILD) -j $(JOBS) --target unit_tests nccl-relay
	@ctest --test-dir $(BUILD) --no-tests=error --output-on-failure -j $(JOBS) -E '^nccl\.'

e2e: programs
	@/usr/bin/python3 -m pytest test/e2e -q --build=$(BUILD) --ignore=test/e2e/test_sanitized.py

check-rdma: programs        ## real verbs: a virtual machine with soft-RoCE; installs what it needs
	@cmake --build $(BUILD) -j $(JOBS) --target conformance
	@/usr/bin/python3 -m pytest test/rdma -q -rs --build=$(BUILD) --durations=10

bench-rdma: programs        ## the plugin beside the verbs tools, on soft-RoCE: ratios and counts, never hardware's speed
	@test/rdma/bench.py --build $(BUILD)

bench: programs
	@/usr/bin/python3 test/bench/run.py --build $(BUILD)

lint: test-deps all
	@test/lint/run.sh $(BUILD)

tidy: test-deps             ## file by file, as build/debug does it
	@cmake --preset debug --log-level=WARNING && run-clang-tidy -quiet -p build/debug '$(CURDIR)/(plugin|tools)/.*'

format:
	@git ls-files '*.cc' '*.h' | grep -v '^include/relay/' | xargs clang-format -i

asan tsan clang: nccl       ## what ctest has, under a sanitizer or by another compiler
	@cmake --preset $@ --log-level=WARNING && cmake --build build/$@ -j $(JOBS)
	@ctest --test-dir build/$@ --no-tests=error --output-on-failure -j $(JOBS)

fuzz: test-deps             ## every decoder, SECONDS each
	@test/fuzz/run.sh $(or $(SECONDS),60)

soak: all test-deps                   ## random jobs and faults on a random fabric for MINUTES; SEED
	@/usr/bin/python3 test/e2e/soak.py --build $(BUILD) --minutes $(or $(MINUTES),30) --seed $(or $(SEED),1)

mutants: programs           ## breaks the product on purpose: do the tests notice?
	@test/mutation/run.py

arm64:                      ## the plugin, the tools and their tests, cross-built
	@tools/deps_arm64.sh build/arm64-libraries && cmake --preset arm64 --log-level=WARNING && cmake --build build/arm64 -j $(JOBS)

check-arm64: all arm64      ## and run under user-mode emulation
	@test/arm64.sh build/arm64 $(BUILD)

coverage: nccl              ## which lines of plugin/ the tests run; long
	@cmake --preset $@ --log-level=WARNING && cmake --build build/$@ -j $(JOBS) && test/coverage.py build/$@

images: all                 ## docker/Dockerfile without Docker: built, and an agent in a container relays for a plugin in one
	@docker/images.sh && RELAY_IMAGES=1 /usr/bin/python3 -m pytest test/e2e/test_images.py -q --whole --build=$(BUILD)

docs: all                   ## the generated references
	@build/nccl-relay knobs > docs/knobs.md

clean:
	rm -rf build
