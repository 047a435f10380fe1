"""The all-reduce that every user of PyTorch tries first: one process per rank under torchrun, all on one GPU."""
import os

import torch
import torch.distributed as dist

dist.init_process_group("nccl")
rank, world = dist.get_rank(), dist.get_world_size()
torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
for count in (1, 1000, 1 << 20):
    values = torch.arange(count, dtype=torch.float32, device="cuda") % 97 + rank
    dist.all_reduce(values)
    wanted = torch.arange(count, dtype=torch.float32, device="cuda") % 97 * world + world * (world - 1) / 2
    assert torch.equal(values, wanted), f"rank {rank}: {count} elements are wrong"
dist.barrier()
dist.destroy_process_group()
if rank == 0:
    print(f"torch {torch.__version__}, NCCL {'.'.join(map(str, torch.cuda.nccl.version()))}: right on {world} ranks", flush=True)
