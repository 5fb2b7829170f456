package io.e2bridge.bench;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * What the run is to do; scripts/bench says where things are by system properties.
 *
 * @param effort how much
 * @param only text that a row must contain; null: all rows
 * @param alone whether such a row is measured without those that it is compared with
 * @param alternatives whether other ways are measured beside ours
 * @param document file whose marked part is replaced by the tables; null: none
 * @param output directory of the JSON document and the page
 */
record Settings(Effort effort, String only, boolean alone, boolean alternatives, Path document, Path output) {
    static Settings of(String[] arguments) {
        Effort effort = Effort.DEFAULT;
        String only = null;
        boolean alone = false;
        boolean alternatives = false;
        Path document = null;
        Path output = Path.of("target", "bench");
        List<String> rest = new ArrayList<>(List.of(arguments));
        while (!rest.isEmpty()) {
            String option = rest.removeFirst();
            switch (option) {
                case "--quick" -> effort = Effort.QUICK;
                case "--with-alternatives" -> alternatives = true;
                case "--alone" -> alone = true;
                case "--only" -> only = value(option, rest);
                case "--doc" -> document = Path.of(value(option, rest));
                case "--output" -> output = Path.of(value(option, rest));
                default -> throw new IllegalArgumentException("there is no option " + option);
            }
        }
        return new Settings(effort, only, alone, alternatives, document, output);
    }

    private static String value(String option, List<String> rest) {
        if (rest.isEmpty()) {
            throw new IllegalArgumentException(option + " needs a value");
        }
        return rest.removeFirst();
    }

    boolean wants(Row row) {
        return only == null || row.matches(only);
    }

    /** {@return a path that scripts/bench names; null when it has a reason not to} */
    static Path given(String name) {
        String value = System.getProperty("bench." + name, "");
        return value.isEmpty() ? null : Path.of(value);
    }

    /** {@return a text that scripts/bench gives, or empty} */
    static String said(String name) {
        return System.getProperty("bench." + name, "");
    }
}
