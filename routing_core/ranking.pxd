"""An ordered set in an array: a treap whose nodes carry bits and their sum (or) below.

Insert, remove, change of bits, first with given bits, rank and the n-th are O(log n). A set is the
index of its root, 0 when it is empty; a node belongs to one set at most. All links are indexes, so
the array can be written out and read back as it is.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef struct Node:
    int64_t k1               # the key: smallest first
    int64_t k2
    int64_t k3
    uint64_t bits
    uint64_t below           # bits of this node and of all below it
    uint32_t left
    uint32_t right
    uint32_t parent
    uint32_t size
    uint32_t heap            # a parent's is not smaller
    uint32_t spare


cdef inline bint before(const Node *a, const Node *b) noexcept nogil:
    if a.k1 != b.k1:
        return a.k1 < b.k1
    if a.k2 != b.k2:
        return a.k2 < b.k2
    return a.k3 < b.k3


cdef inline void resum(Node *nodes, uint32_t i) noexcept nogil:
    cdef Node *node = &nodes[i]
    node.size = 1 + nodes[node.left].size + nodes[node.right].size
    node.below = node.bits | nodes[node.left].below | nodes[node.right].below


cdef inline void rotate_up(Node *nodes, uint32_t *root, uint32_t i) noexcept nogil:
    # i takes its parent's place. nodes[0] stands for nobody and stays all zero.
    cdef Node *node = &nodes[i]
    cdef uint32_t parent = node.parent
    cdef uint32_t above = nodes[parent].parent
    if nodes[parent].left == i:
        nodes[parent].left = node.right
        if node.right:
            nodes[node.right].parent = parent
        node.right = parent
    else:
        nodes[parent].right = node.left
        if node.left:
            nodes[node.left].parent = parent
        node.left = parent
    nodes[parent].parent = i
    node.parent = above
    if above == 0:
        root[0] = i
    elif nodes[above].left == parent:
        nodes[above].left = i
    else:
        nodes[above].right = i
    resum(nodes, parent)
    resum(nodes, i)


cdef inline void insert(Node *nodes, uint32_t *root, uint32_t i) noexcept nogil:
    # The node has its key, bits and heap.
    cdef Node *node = &nodes[i]
    cdef uint32_t at = root[0], parent = 0
    node.left = node.right = node.parent = 0
    node.size = 1
    node.below = node.bits
    while at:
        parent = at
        nodes[at].size += 1
        nodes[at].below |= node.bits
        at = nodes[at].left if before(node, &nodes[at]) else nodes[at].right
    node.parent = parent
    if parent == 0:
        root[0] = i
        return
    if before(node, &nodes[parent]):
        nodes[parent].left = i
    else:
        nodes[parent].right = i
    while node.parent and node.heap > nodes[node.parent].heap:
        rotate_up(nodes, root, i)


cdef inline void resum_up(Node *nodes, uint32_t i) noexcept nogil:
    while i:
        resum(nodes, i)
        i = nodes[i].parent


cdef inline void remove(Node *nodes, uint32_t *root, uint32_t i) noexcept nogil:
    cdef Node *node = &nodes[i]
    cdef uint32_t child, parent
    while node.left and node.right:
        child = node.left if nodes[node.left].heap > nodes[node.right].heap else node.right
        rotate_up(nodes, root, child)
    child = node.left if node.left else node.right
    parent = node.parent
    if child:
        nodes[child].parent = parent
    if parent == 0:
        root[0] = child
    elif nodes[parent].left == i:
        nodes[parent].left = child
    else:
        nodes[parent].right = child
    node.left = node.right = node.parent = 0
    node.size = 0
    resum_up(nodes, parent)


cdef inline void set_bits(Node *nodes, uint32_t i, uint64_t bits) noexcept nogil:
    cdef uint64_t below
    nodes[i].bits = bits
    while i:
        below = nodes[i].bits | nodes[nodes[i].left].below | nodes[nodes[i].right].below
        if nodes[i].below == below:
            return                           # nothing changes from here on
        nodes[i].below = below
        i = nodes[i].parent


cdef inline uint32_t first(const Node *nodes, uint32_t i, uint64_t some,
                           uint64_t every) noexcept nogil:
    # The first below i that has one of `some` (0: any) and all of `every`. Exact pruning
    # for `some`, and for one bit of `every`; with more bits it may have to look in several places.
    cdef uint32_t found
    while i:
        if (some and not nodes[i].below & some) or nodes[i].below & every != every:
            return 0
        if nodes[i].left:
            found = first(nodes, nodes[i].left, some, every)
            if found:
                return found
        if (not some or nodes[i].bits & some) and nodes[i].bits & every == every:
            return i
        i = nodes[i].right
    return 0


cdef inline uint32_t leftmost(const Node *nodes, uint32_t i) noexcept nogil:
    while i and nodes[i].left:
        i = nodes[i].left
    return i


cdef inline uint32_t following(const Node *nodes, uint32_t i) noexcept nogil:
    if nodes[i].right:
        return leftmost(nodes, nodes[i].right)
    while nodes[i].parent and nodes[nodes[i].parent].right == i:
        i = nodes[i].parent
    return nodes[i].parent


cdef inline uint32_t rank(const Node *nodes, uint32_t i) noexcept nogil:
    # From 0.
    cdef uint32_t before_it = nodes[nodes[i].left].size
    while nodes[i].parent:
        if nodes[nodes[i].parent].right == i:
            before_it += 1 + nodes[nodes[nodes[i].parent].left].size
        i = nodes[i].parent
    return before_it


cdef inline uint32_t nth(const Node *nodes, uint32_t i, uint32_t n) noexcept nogil:
    # From 0; n is smaller than the set.
    cdef uint32_t left
    while i:
        left = nodes[nodes[i].left].size
        if n < left:
            i = nodes[i].left
        elif n == left:
            return i
        else:
            n -= left + 1
            i = nodes[i].right
    return 0
