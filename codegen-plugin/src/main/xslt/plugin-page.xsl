<?xml version="1.0" encoding="UTF-8"?>
<!-- The plugin's goals and parameters as one Markdown page, from its descriptor. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="text" encoding="UTF-8"/>
  <xsl:template match="/plugin">
    <xsl:text># </xsl:text>
    <xsl:value-of select="concat(groupId, ':', artifactId, ':', version)"/>
    <xsl:text>&#10;&#10;</xsl:text>
    <xsl:value-of select="concat(description, ' Needs Maven ', requiredMavenVersion, ' and Java ', requiredJavaVersion, ' or later.&#10;')"/>
    <xsl:apply-templates select="mojos/mojo"/>
  </xsl:template>
  <xsl:template match="mojo">
    <xsl:value-of select="concat('&#10;## ', /plugin/goalPrefix, ':', goal, '&#10;&#10;', normalize-space(description), '&#10;')"/>
    <xsl:if test="phase">
      <xsl:value-of select="concat('Default phase: `', phase, '`. ')"/>
    </xsl:if>
    <xsl:if test="threadSafe = 'true'">May run in parallel builds.</xsl:if>
    <xsl:text>&#10;&#10;| parameter | type | default | property | meaning |&#10;|---|---|---|---|---|&#10;</xsl:text>
    <xsl:apply-templates select="parameters/parameter[editable = 'true']"/>
  </xsl:template>
  <xsl:template match="parameter">
    <xsl:variable name="name" select="name"/>
    <xsl:variable name="given" select="../../configuration/*[name() = $name]"/>
    <xsl:value-of select="concat('| `', name, '`')"/>
    <xsl:if test="required = 'true'"> (required)</xsl:if>
    <xsl:value-of select="concat(' | `', type, '` | ')"/>
    <xsl:if test="$given/@default-value">
      <xsl:value-of select="concat('`', $given/@default-value, '`')"/>
    </xsl:if>
    <xsl:text> | </xsl:text>
    <xsl:if test="$given != ''">
      <xsl:value-of select="concat('`', substring-before(substring-after($given, '${'), '}'), '`')"/>
    </xsl:if>
    <xsl:value-of select="concat(' | ', normalize-space(description), ' |&#10;')"/>
  </xsl:template>
</xsl:stylesheet>
