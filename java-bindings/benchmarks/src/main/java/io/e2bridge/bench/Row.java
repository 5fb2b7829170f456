package io.e2bridge.bench;

import java.util.List;
import java.util.Locale;

/**
 * One line of the table.
 *
 * @param id its short name, for {@code --only} and the JSON document
 * @param group the heading it stands under
 * @param title what was done
 * @param unit what its samples are
 * @param sustained true: several callers at once, so that what counts is how many calls a second they make together
 * @param target what it is to reach; null: nothing
 * @param floor id of the row that says what the machine allows; null: none
 * @param against ids of the rows that do the same by other means
 */
record Row(String id, String group, String title, Unit unit, boolean sustained, Target target, String floor, List<String> against) {
    static Row of(String id, String group, String title) {
        return new Row(id, group, title, Unit.MICROSECONDS, false, null, null, List.of());
    }

    Row atMost(double limit) {
        return new Row(id, group, title, unit, sustained, new Target(limit, false), floor, against);
    }

    Row atLeastPerSecond(double limit) {
        return new Row(id, group, title, unit, sustained, new Target(limit, true), floor, against);
    }

    Row in(Unit newUnit) {
        return new Row(id, group, title, newUnit, sustained, target, floor, against);
    }

    Row underLoad() {
        return new Row(id, group, title, unit, true, target, floor, against);
    }

    Row over(String newFloor) {
        return new Row(id, group, title, unit, sustained, target, newFloor, against);
    }

    Row against(String... ids) {
        return new Row(id, group, title, unit, sustained, target, floor, List.of(ids));
    }

    boolean matches(String text) {
        String lower = text.toLowerCase(Locale.ROOT);
        return (id + "\n" + group + "\n" + title).toLowerCase(Locale.ROOT).contains(lower);
    }
}
