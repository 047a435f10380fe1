"""Command lines of the verbs tools (ibverbs-utils, perftest) between two neighbours, as lab.run() takes them."""

FIRST_PORT = 18515


def pair(shape, one, other, tool, options="", through=None):
    """`one` begins, `other` waits for it. Addresses are told over the cable itself, or over the control network (`through`)."""
    near, far = shape.port(one, other), shape.port(other, one)
    number = FIRST_PORT + shape.cables.index(shape.cables_between(one, other)[0])
    address = shape.control_address(other) if through == "control" else far.address
    gid = "-x" if tool.startswith("ib_") else "-g"

    def line(port):
        return f"{tool} -p {number} -d {port.device} {gid} $(gid {port.device}) {options}"

    return f"active {near.interface} {line(near)} {address}", f"passive {near.interface} {number} {line(far)}"
