package io.e2bridge.conformance;

/** The contract on the cloud client, against the double of the E2B services. */
class DoubleContractTest extends Contract {
    @Override
    Place place() {
        return new TheDouble();
    }
}
