module consumer {
    requires io.e2bridge;
}
