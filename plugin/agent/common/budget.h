// How many descriptors the agent may still open: asked before a circuit is taken on, so that running out ends in a
// refusal and not in harm. A lease gives back what it took when it ends.
#pragma once
#include <cstddef>
#include <optional>
#include <utility>

namespace relay::agent {

class Budget {
 public:
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), count_(std::exchange(other.count_, 0)) {}
    Lease& operator=(Lease&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(count_, other.count_);
      return *this;
    }
    ~Lease() {
      if (budget_ != nullptr) budget_->used_ -= count_;
    }

   private:
    friend class Budget;
    Lease(Budget* budget, size_t count) : budget_(budget), count_(count) {}
    Budget* budget_ = nullptr;
    size_t count_ = 0;
  };

  // `whole`: the process's limit; `reserved` of it are for what no lease counts.
  explicit Budget(size_t whole, size_t reserved = 0) : whole_(whole), limit_(whole > reserved ? whole - reserved : 0) {}
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  // nullopt: not that many are left.
  std::optional<Lease> Take(size_t count) {
    if (used_ + count > limit_) return std::nullopt;
    used_ += count;
    return Lease(this, count);
  }
  // As Take, but nullopt also where fewer than `left` would be left for others.
  std::optional<Lease> TakeLeaving(size_t count, size_t left) {
    if (used_ + count + left > limit_) return std::nullopt;
    return Take(count);
  }
  size_t limit() const { return limit_; }
  size_t whole() const { return whole_; }  // what an operator sets
  size_t used() const { return used_; }

 private:
  const size_t whole_, limit_;
  size_t used_ = 0;
};

// This process's limit, raised as far as it may raise it itself.
size_t DescriptorLimit();

}  // namespace relay::agent
