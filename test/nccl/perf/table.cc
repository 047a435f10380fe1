#include "perf/table.h"

#include <cstdio>

#include "perf/failure.h"

namespace perf {
namespace {

void PrintMeasurement(const Measurement& m) {
  int digits = m.microseconds >= 10000 ? 0 : m.microseconds >= 100 ? 1 : 2;
  printf("  %7.*f  %6.2f  %6.2f", digits, m.microseconds, m.algorithm_bandwidth, m.bus_bandwidth);
  if (m.wrong) {
    printf("  %5g", *m.wrong);
  } else {
    printf("  %5s", "N/A");
  }
}

void PrintMeasurementJson(const char* key, const Measurement& m) {
  printf("\"%s\":{\"time_us\":%.2f,\"algbw\":%.6f,\"busbw\":%.6f,\"wrong\":", key, m.microseconds,
         m.algorithm_bandwidth, m.bus_bandwidth);
  if (m.wrong) {
    printf("%.0f}", *m.wrong);
  } else {
    printf("null}");
  }
}

}  // namespace

void Table::Begin(const std::vector<Device>& devices) {
  if (options_.json) {
    int version = 0;
    ncclGetVersion(&version);
    printf("{\"collective\":\"%s\",\"nccl\":%d,\"ranks\":%zu,\"iterations\":%d,\"rows\":[", options_.collective.c_str(),
           version, devices.size(), options_.iterations);
    return;
  }
  printf(
      "# nThread 1 nGpus 1 minBytes %zu maxBytes %zu step: %zu(factor) warmup iters: %d iters: %d agg iters: 1 "
      "validation: %d graph: 0\n#\n# Using devices\n",
      options_.min_bytes, options_.max_bytes, options_.factor, options_.warmups, options_.iterations, options_.checks);
  for (const Device& d : devices)
    printf("#  Rank %2d Group  0 Pid %6d on %10s device %2d [0x%02x] %s\n", d.rank, d.pid, d.host, d.device, d.bus,
           d.name);
  printf("#\n# %10s  %12s  %8s  %6s  %6s           out-of-place                       in-place          \n", "", "", "",
         "", "");
  printf("# %10s  %12s  %8s  %6s  %6s  %7s  %6s  %6s %6s  %7s  %6s  %6s %6s\n", "size", "count", "type", "redop",
         "root", "time", "algbw", "busbw", "#wrong", "time", "algbw", "busbw", "#wrong");
  printf("# %10s  %12s  %8s  %6s  %6s  %7s  %6s  %6s  %5s  %7s  %6s  %6s  %5s\n", "(B)", "(elements)", "", "", "",
         "(us)", "(GB/s)", "(GB/s)", "", "(us)", "(GB/s)", "(GB/s)", "");
  fflush(stdout);
}

void Table::Add(const Row& row) {
  for (const Measurement* m : {&row.out_of_place, &row.in_place}) {
    bandwidth_sum_ += m->bus_bandwidth;
    failures_ += m->wrong.value_or(0) > 0;
  }
  if (options_.json) {
    printf("%s{\"size\":%zu,\"count\":%zu,\"type\":\"float\",\"redop\":\"%s\",\"root\":%d,", rows_ ? "," : "",
           row.bytes, row.count, row.op, row.root);
    PrintMeasurementJson("out_of_place", row.out_of_place);
    putchar(',');
    PrintMeasurementJson("in_place", row.in_place);
    putchar('}');
  } else {
    printf("%12zu  %12zu  %8s  %6s  %6d", row.bytes, row.count, "float", row.op, row.root);
    PrintMeasurement(row.out_of_place);
    PrintMeasurement(row.in_place);
    putchar('\n');
  }
  rows_++;
  fflush(stdout);
}

void Table::End() {
  double average = rows_ ? bandwidth_sum_ / static_cast<double>(2 * rows_) : 0;
  if (options_.json) {
    printf("],\"out_of_bounds\":%d,\"avg_busbw\":%.6f}\n", failures_, average);
  } else {
    printf("# Out of bounds values : %d %s\n", failures_, failures_ ? "FAILED" : "OK");
    printf("# Avg bus bandwidth    : %g \n#\n", average);
  }
  fflush(stdout);
}

}  // namespace perf
