from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum:
    MOST_INSTRUCTIONS = 4096
    MEMORY = 16
    # Codes: the class, the size or the operation, and the mode or the source (linux/bpf_common.h).
    LD_IMM = 0x00
    LD_W_ABS = 0x20
    LD_H_ABS = 0x28
    LD_B_ABS = 0x30
    LD_W_IND = 0x40
    LD_H_IND = 0x48
    LD_B_IND = 0x50
    LD_MEM = 0x60
    LD_LEN = 0x80
    LDX_IMM = 0x01
    LDX_MEM = 0x61
    LDX_LEN = 0x81
    LDX_MSH = 0xB1
    ST = 0x02
    STX = 0x03
    ADD_K = 0x04
    SUB_K = 0x14
    MUL_K = 0x24
    DIV_K = 0x34
    OR_K = 0x44
    AND_K = 0x54
    LSH_K = 0x64
    RSH_K = 0x74
    NEG = 0x84
    MOD_K = 0x94
    XOR_K = 0xA4
    ADD_X = 0x0C
    SUB_X = 0x1C
    MUL_X = 0x2C
    DIV_X = 0x3C
    OR_X = 0x4C
    AND_X = 0x5C
    LSH_X = 0x6C
    RSH_X = 0x7C
    MOD_X = 0x9C
    XOR_X = 0xAC
    JA = 0x05
    JEQ_K = 0x15
    JGT_K = 0x25
    JGE_K = 0x35
    JSET_K = 0x45
    JEQ_X = 0x1D
    JGT_X = 0x2D
    JGE_X = 0x3D
    JSET_X = 0x4D
    RET_K = 0x06
    RET_A = 0x16
    TAX = 0x07
    TXA = 0x87

# The layout of struct sock_filter (linux/filter.h).
cdef struct Instruction:
    uint16_t code
    uint8_t jt
    uint8_t jf
    uint32_t k

cdef uint32_t judge(const Instruction* program, const uint8_t* frame, uint32_t length) noexcept nogil

cdef class Filter:
    cdef const Instruction* program
    cdef readonly bytes octets
