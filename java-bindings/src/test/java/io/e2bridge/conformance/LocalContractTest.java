package io.e2bridge.conformance;

/** The contract on the local engine. */
class LocalContractTest extends Contract {
    @Override
    Place place() {
        return new Place.Local();
    }
}
