package io.e2bridge.conformance;

import io.e2bridge.E2B;
import java.util.List;
import java.util.Map;

/** One call in a process of its own, with a client that the environment configures: {@code deploy N} or {@code scale ID N}. */
final class OtherProcess {
    private OtherProcess() {}

    public static void main(String[] arguments) {
        try (E2B client = E2B.open()) {
            switch (arguments[0]) {
                case "deploy" -> print(client.deployE2BTemplate(
                        "base", "other process", Map.of("instances", Integer.parseInt(arguments[1]), "env", Map.of("COLOUR", "blue"))).json());
                case "scale" -> print(client.scaleE2BDeployment(arguments[1], Integer.parseInt(arguments[2]), false).json());
                default -> throw new IllegalArgumentException(List.of(arguments).toString());
            }
        }
    }

    private static void print(Object document) {
        System.out.println(document);
    }
}
