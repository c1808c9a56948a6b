cdef enum:
    DROP
    WAIT
    NOTE
    DOUBT
    LOST

cdef struct Rule:
    int action
    int counter

cdef Rule on_receive(int error) noexcept nogil
cdef Rule on_send(int error) noexcept nogil
