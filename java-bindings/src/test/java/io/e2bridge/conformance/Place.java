package io.e2bridge.conformance;

import io.e2bridge.E2B;
import io.e2bridge.E2BConfig;
import io.e2bridge.Engine;
import java.util.EnumSet;
import java.util.Set;

/** Where the contract is tried. */
interface Place extends AutoCloseable {
    /** {@return what the health document calls the backend} */
    String backend();

    /** {@return what it declares} */
    Set<Capability> capabilities();

    /** {@return a new client of it, which the caller closes} */
    E2B open();

    /** Says what went wrong unseen, after all tests. */
    default void verify() {}

    @Override
    void close();

    /** This machine, by the embedded engine. */
    final class Local implements Place {
        private final Engine engine = Engine.open();

        @Override
        public String backend() {
            return "local";
        }

        @Override
        public Set<Capability> capabilities() {
            return EnumSet.complementOf(EnumSet.of(Capability.SHARED_BY_PROCESSES));
        }

        @Override
        public E2B open() {
            return E2B.open(E2BConfig.builder().dataDirectory(engine.directory()).build());
        }

        @Override
        public void close() {
            engine.close();
        }
    }
}
