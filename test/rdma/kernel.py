#!/usr/bin/env python3
"""Prepares what the virtual machine of test/rdma boots; finds everything there on a second call.

    kernel.py DIR       DIR/vmlinux, DIR/initramfs, DIR/version

The kernel is a stock one, downloaded and never installed: the first of SUITES whose soft-RoCE knows net namespaces (Linux 7.1 and
newer), from the mirror that this machine uses. Older ones make such a device in a namespace, but none of its traffic arrives.
Status 77 and a line "SKIPPED: why" where virtual machines cannot run.
"""
import fcntl
import lzma
import os
import pathlib
import platform
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import zlib

HERE = pathlib.Path(__file__).resolve().parent
SUITES = ["trixie-backports", "forky", "sid"]
META_PACKAGE = "linux-image-amd64"  # the cloud flavour has neither soft-RoCE nor 9p
KERNEL_PACKAGE = re.compile(r"linux-(?:image|binary|modules)-\d[^ ,|(]*")
TOOLS = ["qemu-system-x86", "busybox-static", "kmod", "zstd", "iproute2", "libibverbs1", "ibverbs-providers", "ibverbs-utils",
         "perftest"]
# Loaded in this order, each after what it needs; bridge is the control network's, tcp_diag is what `nccl-relay top` asks. One that
# no package has is taken to be built in: if it is not, the guest does not come up and says what it lacks.
MODULES = ["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay", "veth", "bridge", "sch_ingress",
           "cls_matchall", "act_gact", "tcp_diag", "ib_uverbs", "rdma_ucm", "rdma_rxe"]
# Where these and what they need are.
WANTED = re.compile(r"kernel/(net/(core|9p|bridge|802|llc|ipv4|ipv6|sched)|fs/(9p|netfs|overlayfs|configfs)|lib|crypto|"
                    r"arch/x86/(crypto|lib)|drivers/(infiniband|virtio|net/veth|char/virtio))")
# A function of rdma_rxe that only a namespace-aware one has.
AWARE_OF_NAMESPACES = b"rxe_ns_pernet"
SKIPPED = 77


class Skip(Exception):
    """Virtual machines cannot run here; the message says why."""


def said(done):
    """The last line of a command's complaint."""
    return (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]


def install_tools():
    done = subprocess.run([HERE.parents[1] / "tools/deps.sh", "test", *TOOLS], stdin=subprocess.DEVNULL, stdout=sys.stderr,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise Skip(f"what a virtual machine needs cannot be installed: {said(done)}")


def mirror():
    """Where this machine has its own release from."""
    codename = re.search(r"^VERSION_CODENAME=(\S+)", pathlib.Path("/etc/os-release").read_text(), re.M)
    targets = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    for line in targets.splitlines():
        uri, release, component = (line.split() + ["", ""])[:3]
        if codename and release == codename[1] and component == "main":
            return uri
    raise Skip("no mirror of Debian is known to apt, to download a kernel from")


class Suite:
    """One release of Debian, asked beside the machine's own set-up of apt, which stays as it is."""

    def __init__(self, name, uri, work):
        self.name = name
        lists, cache, parts = work / "lists", work / "cache", work / "parts"
        for folder in (lists / "partial", cache / "archives/partial", parts):
            folder.mkdir(parents=True)
        keyring = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")
        signed = f"Signed-By: {keyring}\n" if keyring.exists() else ""
        (parts / "kernel.sources").write_text(f"Types: deb\nURIs: {uri}\nSuites: {name}\nComponents: main\n{signed}")
        self.options = ["-o", "Dir::Etc::sourcelist=/dev/null", "-o", f"Dir::Etc::sourceparts={parts}", "-o",
                        f"Dir::State::lists={lists}", "-o", f"Dir::Cache={cache}", "-o", "APT::Sandbox::User=root"]

    def apt(self, program, *arguments, cwd=None):
        done = subprocess.run([program, *self.options, *arguments], cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise Skip(f"{self.name}: {program} {arguments[0]}: {said(done)}")
        return done.stdout

    def kernel_packages(self):
        """The files of one kernel: newer releases have split them over several packages."""
        found, asked = [], [META_PACKAGE]
        while asked:
            record = self.apt("apt-cache", "show", asked.pop()).split("\n\n")[0]
            depends = re.search(r"^Depends:(.*)", record, re.M)
            for package in KERNEL_PACKAGE.findall(depends[1] if depends else ""):
                if package not in found:
                    found.append(package)
                    asked.append(package)
        if not found:
            raise Skip(f"{self.name} has no kernel")
        return found

    def download(self, folder):
        self.apt("apt-get", "update", "-q")
        folder.mkdir()
        self.apt("apt-get", "download", "-q", *self.kernel_packages(), cwd=folder)
        return sorted(folder.glob("*.deb"))


def unpack(packages, root):
    """The kernel and the modules that are WANTED as root/vmlinuz and root/lib/modules/VERSION/kernel; the version."""
    version = None
    for package in packages:
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as process:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                for member in archive:
                    module = re.search(r"lib/modules/([^/]+)/(kernel/.*)", member.name)
                    if not member.isfile():
                        continue
                    if module and WANTED.match(module[2]):
                        version = module[1]
                        path = root / "lib/modules" / version / module[2]
                    elif re.search(r"/vmlinuz[^/]*$", member.name):
                        path = root / "vmlinuz"
                    else:
                        continue
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(archive.extractfile(member).read())
    if version is None or not (root / "vmlinuz").exists():
        raise Skip(f"the packages {', '.join(p.name for p in packages)} hold no kernel with modules")
    return version


def zstd(packed):
    return subprocess.run(["zstd", "-dcq"], input=packed, stdout=subprocess.PIPE, check=True).stdout


def elf(vmlinuz):
    """The kernel inside: started as it is, by PVH, it need not unpack itself, which takes an emulated machine seconds."""
    image = vmlinuz.read_bytes()
    # Linux/x86 boot protocol: setup_sects, payload_offset, payload_length.
    start = (image[0x1F1] + 1) * 512 + struct.unpack_from("<I", image, 0x248)[0]
    packed = image[start:start + struct.unpack_from("<I", image, 0x24C)[0]]
    if packed.startswith(b"\xfd7zXZ"):
        unpacked = lzma.LZMADecompressor().decompress(packed)
    elif packed.startswith(b"\x28\xb5\x2f\xfd"):
        unpacked = zstd(packed[:-4])  # the size follows
    elif packed.startswith(b"\x1f\x8b"):
        unpacked = zlib.decompressobj(31).decompress(packed)
    else:
        raise Skip(f"the kernel is packed in an unknown way: {packed[:4].hex()}")
    if not unpacked.startswith(b"\x7fELF"):
        raise Skip("the kernel's image holds no ELF file")
    return unpacked


def module_files(root, version):
    """Names and contents of the modules, in the order in which they are loaded."""
    subprocess.run(["/sbin/depmod", "-b", root, version], check=True, stderr=subprocess.DEVNULL)
    files = {}
    for module in MODULES:
        shown = subprocess.run(["/sbin/modprobe", "-d", root, "-S", version, "--show-depends", module], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
        for path in re.findall(r"^insmod (\S+)", shown.stdout, re.M):
            data = pathlib.Path(path).read_bytes()
            if path.endswith(".xz"):
                data = lzma.decompress(data)
            elif path.endswith(".zst"):
                data = zstd(data)
            files[re.sub(r"\.ko.*", ".ko", path.rpartition("/")[2])] = data
    if AWARE_OF_NAMESPACES not in files.get("rdma_rxe.ko", b""):
        raise Skip(f"kernel {version}: its soft-RoCE knows no net namespaces")
    return files


def cpio(entries):
    """An archive of (path, mode, contents) as the kernel unpacks them (the "newc" format)."""
    out = bytearray()
    for inode, (path, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        name = path.encode() + b"\0"
        fields = [inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        out += bytes(-len(out) % 4)
        out += data
        out += bytes(-len(out) % 4)
    return bytes(out)


def write_initramfs(folder):
    """Anew each time, because it holds guest/init."""
    order = (folder / "modules/order").read_text()
    entries = [(name, 0o040755, b"") for name in ("bin", "dev", "proc", "sys", "modules")]
    entries += [("init", 0o100755, (HERE / "guest/init").read_bytes()),
                ("bin/busybox", 0o100755, pathlib.Path(shutil.which("busybox")).read_bytes()),
                ("modules/order", 0o100644, order.encode())]
    entries += [(f"modules/{name}", 0o100644, (folder / "modules" / name).read_bytes()) for name in order.split()]
    partial = folder / "initramfs.partial"
    partial.write_bytes(cpio(entries))
    partial.rename(folder / "initramfs")


def prepare(suite, work):
    """work/vmlinux, work/modules and work/version, of this suite's kernel."""
    root = work / "root"
    version = unpack(suite.download(work / "packages"), root)
    files = module_files(root, version)
    (work / "modules").mkdir()
    for name, data in files.items():
        (work / "modules" / name).write_bytes(data)
    (work / "modules/order").write_text("".join(f"{name}\n" for name in files))
    (work / "vmlinux").write_bytes(elf(root / "vmlinuz"))
    (work / "version").write_text(f"{version} ({suite.name})\n{' '.join(MODULES)}\n")


def obtain(folder):
    """The kernel of the first suite that has a fitting one."""
    uri, reasons = mirror(), []
    for name in SUITES:
        work = folder / ".work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            prepare(Suite(name, uri, work), work)
        except Skip as why:
            reasons.append(str(why))
            continue
        for part in ("modules", "vmlinux", "version"):  # the version last: it says that the others are whole
            target = folder / part
            if target.is_dir():
                shutil.rmtree(target)
            (work / part).rename(target)
        shutil.rmtree(work)
        return
    raise Skip("no kernel: " + "; ".join(reasons))


def is_whole(folder):
    """What an earlier call left, for the same modules."""
    version = folder / "version"
    return version.exists() and version.read_text().splitlines()[1:] == [" ".join(MODULES)]


def main():
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} DIR")
    try:
        if platform.machine() != "x86_64":
            raise Skip(f"the virtual machine is an x86-64 one, and runs this machine's programs, which are {platform.machine()}")
        install_tools()
        folder = pathlib.Path(sys.argv[1]).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / ".lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_whole(folder):
                obtain(folder)
            write_initramfs(folder)
    except Skip as why:
        print(f"SKIPPED: {why}")
        sys.exit(SKIPPED)


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C.UTF-8"
    main()
